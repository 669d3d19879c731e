/* JavaScript and VBScript that fetch or unpack what they run: in packages, in Windows Script Host, in pages. */

rule npm_package_runs_remote_script
{
  meta:
    id = "BKL-DRP-1010"
    threat_name = "Dropper.Npm.InstallScript"
    category = "dropper"
    severity = "high"
    confidence = "medium"
    description = "An npm package whose installation pipes something from the network into an interpreter"
    reference = "https://attack.mitre.org/techniques/T1195/001/"
    false_positives = "none known"
  strings:
    $name = /"(name|version)"\s{0,4}:/
    $pipe = /"(pre|post)?install"\s{0,4}:\s{0,4}"[^"\n]{0,120}(curl|wget)\s[^"\n]{0,160}\|\s{0,4}(sudo\s{1,4})?(ba|da|z)?(sh|node)\b/
    $windows = /"(pre|post)?install"\s{0,4}:\s{0,4}"[^"\n]{0,120}powershell[^"\n]{0,120}(DownloadString|DownloadFile|iwr|Invoke-WebRequest|-enc|-e\s)/ nocase
    $inline = /"(pre|post)?install"\s{0,4}:\s{0,4}"[^"\n]{0,40}node\s{1,4}-e\s{1,4}[^\n]{0,300}(child_process|eval\(|https?\.(get|request))/
  condition:
    filesize < 64KB and $name and any of ($pipe, $windows, $inline)
}

rule node_sends_environment
{
  meta:
    id = "BKL-DRP-1011"
    threat_name = "Stealer.Node.Environment"
    category = "stealer"
    severity = "high"
    confidence = "medium"
    description = "JavaScript of a package that sends the whole environment, with the names of machine and user, to a server"
    reference = "https://attack.mitre.org/techniques/T1195/001/"
    false_positives = "proofs of concept of researchers, which do the same"
  strings:
    $environment = /JSON\.stringify\s{0,2}\(\s{0,2}process\.env\s{0,2}[,\)]|\b(env|environment)\s{0,2}:\s{0,2}process\.env\s{0,2}[,\}\n]/
    $who = /\bos\.(hostname|userInfo|homedir)\s{0,2}\(/
    $send = /(https?\.request\s{0,2}\(|\.request\s{0,2}\(\s{0,2}(options|opts|\{)|\bfetch\s{0,2}\(|axios\.post\s{0,2}\(|dns\.(lookup|resolve)\s{0,2}\()/
    $post = /(method\s{0,2}:\s{0,2}['"]POST['"]|axios\.post|dns\.)/
    $exact = /(\.write\s{0,2}\(|body\s{0,2}:|data\s{0,2}:|axios\.post\s{0,2}\()/
  condition:
    filesize < 16KB and all of them
}

rule javascript_evaluates_long_constant
{
  meta:
    id = "BKL-DRP-1012"
    threat_name = "Suspicious.JavaScript.Encoded"
    category = "dropper"
    severity = "medium"
    confidence = "medium"
    description = "JavaScript that decodes a long Base64 constant and evaluates it at once"
    reference = "https://attack.mitre.org/techniques/T1027/013/"
    false_positives = "licence checks of commercial scripts"
  strings:
    $flow = /\b(eval|Function)\s{0,2}\(\s{0,2}((window|globalThis|self)\.)?(atob\s{0,2}\(|Buffer\.from\s{0,2}\(|new\s{1,2}Buffer\s{0,2}\()\s{0,2}['"`][A-Za-z0-9+\/=]{160}/
  condition:
    filesize < 1MB and $flow
}

rule script_host_downloads_and_runs
{
  meta:
    id = "BKL-DRP-1013"
    threat_name = "Dropper.ScriptHost.Download"
    category = "dropper"
    severity = "high"
    confidence = "high"
    description = "A script of Windows that downloads over HTTP, saves with a stream object and runs what it saved"
    reference = "https://attack.mitre.org/techniques/T1059/005/"
    false_positives = "log-on scripts that install software over HTTP"
  strings:
    $http = /(MSXML2\.(Server)?XMLHTTP|Microsoft\.XMLHTTP|WinHttp\.WinHttpRequest)/ ascii wide nocase
    $stream = "ADODB.Stream" ascii wide nocase
    $save = /\.\s{0,2}SaveToFile\b/ ascii wide nocase
    $shell = /(WScript\.Shell|Shell\.Application)/ ascii wide nocase
    $run = /\.\s{0,2}(Run|Exec|ShellExecute)\b/ ascii wide nocase
    $temp = /(%(temp|appdata|tmp|public|localappdata)%|GetSpecialFolder\s{0,2}\(\s{0,2}2|ExpandEnvironmentStrings|\\Users\\Public)/ ascii wide nocase
  condition:
    filesize < 512KB and all of them
}

rule page_builds_file_from_constant
{
  meta:
    id = "BKL-DRP-1016"
    threat_name = "Dropper.HTML.Smuggling"
    category = "dropper"
    severity = "medium"
    confidence = "medium"
    description = "A web page that builds an archive, a disk image or a program from a long constant and saves it by itself"
    reference = "https://attack.mitre.org/techniques/T1027/006/"
    false_positives = "pages saved with a file built in, which name documents rather than programs"
  strings:
    $page = /<(html|script|body|svg)\b/ nocase
    $decode = /\b(atob|fromCharCode|charCodeAt)\s{0,2}\(/
    $blob = /new\s{1,4}Blob\s{0,2}\(/
    $save = /(URL\.createObjectURL|msSaveOrOpenBlob|msSaveBlob)\s{0,2}\(/
    $click = /\.\s{0,2}click\s{0,2}\(\s{0,2}\)/
    $name = /(\.download\s{0,2}=\s{0,2}|msSave(OrOpen)?Blob\s{0,2}\(\s{0,2}\w{1,24}\s{0,2},\s{0,2}|(name|file|filename|fileName)\s{0,2}=\s{0,2})['"`][^'"`\n]{1,80}\.(zip|iso|img|vhd|exe|scr|js|vbs|hta|lnk|msi|rar|7z|one)['"`]/ nocase
    // The beginnings of ZIP, MZ, RAR, 7z and CAB in Base64, and the empty start of a disk image.
    $constant = /['"`](UEsDBB|TVqQAA|TVpQAA|TVoAAA|UmFyIR|N3q8ry|TVNDRg|AAAAAAAAAAAAAAAA)[A-Za-z0-9+\/]{200}/
  condition:
    filesize < 16MB and all of them
}
