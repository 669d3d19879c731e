/* Web shells in PHP: code that hands what a visitor sends to an interpreter. */

rule php_request_to_eval
{
  meta:
    id = "BKL-WEB-0001"
    threat_name = "WebShell.PHP.Eval"
    category = "webshell"
    severity = "high"
    confidence = "high"
    description = "PHP that evaluates a request parameter as code, directly or through one decoding function"
    reference = "https://attack.mitre.org/techniques/T1505/003/"
    false_positives = "teaching material about injection, as long as it is stored as runnable PHP"
  strings:
    $php = /<\?(php|=)/ nocase
    $flow = /\b(eval|assert|create_function)\s{0,8}\(\s{0,8}(base64_decode|stripslashes|urldecode|trim|str_rot13)?\s{0,8}\(?\s{0,8}@?\$_(GET|POST|REQUEST|COOKIE)\s{0,8}\[/ nocase
  condition:
    filesize < 2MB and $php and $flow
}

rule php_request_to_command
{
  meta:
    id = "BKL-WEB-0002"
    threat_name = "WebShell.PHP.Command"
    category = "webshell"
    severity = "high"
    confidence = "high"
    description = "PHP that runs a request parameter as a command of the operating system"
    reference = "https://attack.mitre.org/techniques/T1505/003/"
    false_positives = "deliberately vulnerable training applications"
  strings:
    $php = /<\?(php|=)/ nocase
    $flow = /\b(system|passthru|shell_exec|exec|popen|proc_open|pcntl_exec)\s{0,8}\(\s{0,8}@?\$_(GET|POST|REQUEST|COOKIE)\s{0,8}\[/ nocase
  condition:
    filesize < 2MB and $php and $flow
}

rule php_packed_eval
{
  meta:
    id = "BKL-WEB-0003"
    threat_name = "Suspicious.PHP.PackedEval"
    category = "webshell"
    // Reported, not acted on: some sold plug-ins protect their licence check this way.
    severity = "low"
    confidence = "medium"
    description = "PHP that unpacks a long constant with two functions in a row and evaluates the result"
    reference = "https://attack.mitre.org/techniques/T1027/010/"
    false_positives = "commercial plug-ins with home-made licence protection"
  strings:
    $php = /<\?(php|=)/ nocase
    $flow = /\beval\s{0,8}\(\s{0,8}(gzinflate|gzuncompress|gzdecode|str_rot13|strrev)\s{0,8}\(\s{0,8}(base64_decode|str_rot13|strrev|gzinflate)\s{0,8}\(\s{0,8}['"][A-Za-z0-9+\/=]{80}/ nocase
  condition:
    filesize < 2MB and $php and $flow
}
