/* Python that runs what it fetches or unpacks, and packages that steal while they are installed. */

rule python_runs_downloaded_text
{
  meta:
    id = "BKL-DRP-1006"
    threat_name = "Dropper.Python.Remote"
    category = "dropper"
    severity = "medium"
    confidence = "medium"
    description = "Python that executes the text of a web address without ever writing it to disk"
    reference = "https://attack.mitre.org/techniques/T1059/006/"
    false_positives = "installers that start from one line of Python"
  strings:
    $requests = /\b(exec|eval)\s{0,2}\(\s{0,2}(compile\s{0,2}\(\s{0,2})?(__import__\s{0,2}\(\s{0,2}['"]requests['"]\s{0,2}\)|requests|httpx|s)\.get\s{0,2}\([^\n]{1,160}\)\.(text|content)\b/
    $urllib = /\b(exec|eval)\s{0,2}\(\s{0,2}(compile\s{0,2}\(\s{0,2})?(__import__\s{0,2}\(\s{0,2}['"]urllib[^)]{0,40}\)\.|urllib2?\.|request\.|urllib\.request\.)?(request\.)?urlopen\s{0,2}\([^\n]{1,160}\)\.read\s{0,2}\(/
    $decoded = /\b(exec|eval)\s{0,2}\(\s{0,2}(base64\.)?b64decode\s{0,2}\(\s{0,2}(requests\.get|urllib\.request\.urlopen|urlopen)\s{0,2}\(/
  condition:
    filesize < 256KB and any of them
}

rule python_layers_of_encoding
{
  meta:
    id = "BKL-DRP-1007"
    threat_name = "Suspicious.Python.Layers"
    category = "dropper"
    severity = "medium"
    confidence = "medium"
    description = "Python that executes a long constant after unpacking it through two or more layers"
    reference = "https://attack.mitre.org/techniques/T1027/013/"
    false_positives = "commercial programs that were run through an obfuscator"
  strings:
    $nested = /\bexec\s{0,2}\(\s{0,2}((zlib|lzma|bz2|gzip)\.decompress|marshal\.loads|__import__\s{0,2}\(\s{0,2}['"](zlib|lzma|bz2|gzip|marshal)['"]\s{0,2}\)\.(decompress|loads))\s{0,2}\(\s{0,2}((zlib|lzma|bz2|gzip)\.decompress\s{0,2}\(\s{0,2}|__import__\s{0,2}\(\s{0,2}['"](zlib|lzma|bz2|gzip)['"]\s{0,2}\)\.decompress\s{0,2}\(\s{0,2})?((base64|binascii)\.|__import__\s{0,2}\(\s{0,2}['"](base64|binascii)['"]\s{0,2}\)\.)?(b64decode|b85decode|a85decode|b32decode|unhexlify)\s{0,2}\(\s{0,2}b?['"]{1,3}[^'"\n]{120}/
    $reversed = /\bexec\s{0,2}\(\s{0,2}\(_\)\s{0,2}\(\s{0,2}b?['"]{1,3}[^'"\n]{120}/
    $lambda = /_\s{0,2}=\s{0,2}lambda\s{1,2}__\s{0,2}:\s{0,2}__import__\s{0,2}\(\s{0,2}['"]zlib['"]\s{0,2}\)\.decompress\s{0,2}\(\s{0,2}__import__\s{0,2}\(\s{0,2}['"]base64['"]/
  condition:
    filesize < 4MB and ($nested or ($reversed and $lambda))
}

rule python_package_reports_victim
{
  meta:
    id = "BKL-DRP-1008"
    threat_name = "Stealer.Python.Setup"
    category = "stealer"
    severity = "high"
    confidence = "medium"
    description = "The set-up script of a Python package that sends names of machine and user, or the environment, somewhere while it is installed"
    reference = "https://attack.mitre.org/techniques/T1195/001/"
    false_positives = "proofs of concept of researchers, which do the same"
  strings:
    $setup = /\bsetup\s{0,2}\(/
    $class = /class\s{1,4}\w{1,40}\s{0,2}\(\s{0,2}\w{0,16}\.?(install|develop|egg_info|build_py)\s{0,2}\)/
    $hook = "cmdclass"
    $who = /\b(socket\.gethostname|platform\.node|getpass\.getuser|os\.getlogin|os\.uname)\s{0,2}\(/
    $environment = /\b(dict|str)\s{0,2}\(\s{0,2}os\.environ\b/
    $send = /(requests\.(post|get)|urllib\.request\.(urlopen|Request)|http\.client\.HTTPS?Connection|socket\.gethostbyname|dns\.resolver)\s{0,2}\(/
  condition:
    filesize < 64KB and $setup and $class and $hook and $send and ($who or $environment)
}

rule python_fetches_program_to_temp
{
  meta:
    id = "BKL-DRP-1009"
    threat_name = "Dropper.Python.Program"
    category = "dropper"
    severity = "high"
    confidence = "medium"
    description = "Python that downloads a program into a temporary folder and starts it with its window hidden"
    reference = "https://attack.mitre.org/techniques/T1105/"
    false_positives = "home-made updaters"
  strings:
    $folder = /(os\.(getenv|environ\.get)\s{0,2}\(\s{0,2}|os\.environ\[\s{0,2})['"](TEMP|TMP|APPDATA|LOCALAPPDATA)['"]|tempfile\.(gettempdir|mkdtemp)\s{0,2}\(/ nocase
    $fetch = /(urlretrieve|urlopen|requests\.get)\s{0,2}\(\s{0,2}[^\n]{0,120}(\.exe|\.scr|\.dll|\.pif|\.bat)['"]/ nocase
    $hidden = /(CREATE_NO_WINDOW|creationflags\s{0,2}=\s{0,2}0x0?8000000|SW_HIDE|-WindowStyle\s{1,4}Hidden)/ nocase
    $start = /(subprocess\.(Popen|call|run)|os\.(startfile|system))\s{0,2}\(/
  condition:
    filesize < 128KB and all of them
}
