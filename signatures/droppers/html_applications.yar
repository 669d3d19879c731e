/* HTML applications: pages that run with the rights of a program. */

rule hta_starts_interpreter
{
  meta:
    id = "BKL-DRP-0003"
    threat_name = "Dropper.HTA.Shell"
    category = "dropper"
    severity = "high"
    confidence = "high"
    description = "An HTML application or script page that starts an interpreter which fetches or decodes something"
    reference = "https://attack.mitre.org/techniques/T1218/005/"
    false_positives = "in-house HTA tools that download with PowerShell"
  strings:
    $page = /<(hta:application|script)\b/ nocase
    $shell = /(CreateObject|ActiveXObject)\s{0,4}\(\s{0,4}["'](WScript\.Shell|Shell\.Application)["']/ nocase
    $start = /\.\s{0,2}(Run|Exec|ShellExecute)\b[^\n]{0,40}(powershell|cmd(\.exe)?\s{1,4}\/c|certutil|bitsadmin|curl)\b/ nocase
    $payload = /(https?:\/\/|-e(nc(odedcommand)?)?\s{1,4}[A-Za-z0-9+\/]{32}|FromBase64String|-urlcache|-decode)/ nocase
  condition:
    filesize < 2MB and all of them
}
