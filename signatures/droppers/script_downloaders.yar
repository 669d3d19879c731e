/* Scripts for the Windows script host that fetch, save and start something. */

rule jscript_saves_download_and_starts_it
{
  meta:
    id = "BKL-DRP-2006"
    threat_name = "Downloader.JScript"
    category = "downloader"
    severity = "high"
    confidence = "high"
    description = "JScript that fetches bytes over HTTP, saves them and starts something"
    reference = "https://attack.mitre.org/techniques/T1059/007/"
    false_positives = "updaters of in-house tools written for the script host"
  strings:
    $http = /ActiveXObject\s{0,4}\(\s{0,4}['"](MSXML2\.(Server)?XMLHTTP|Microsoft\.XMLHTTP|WinHttp\.WinHttpRequest)/ nocase
    $stream = /ActiveXObject\s{0,4}\(\s{0,4}['"](ADODB\.Stream|Scripting\.FileSystemObject)/ nocase
    $save = /\.\s{0,2}(SaveToFile|CreateTextFile)\s{0,4}\(/ nocase
    // Pages of old have all the rest, and `.exec(` of expressions.
    $shell = /['"](WScript\.Shell|Shell\.Application)['"]/ nocase
    $start = /\.\s{0,2}(Run|Exec|ShellExecute)\s{0,4}\(/ nocase
  condition:
    filesize < 1MB and all of them
}

rule vbscript_saves_download_and_starts_it
{
  meta:
    id = "BKL-DRP-2007"
    threat_name = "Downloader.VBScript"
    category = "downloader"
    severity = "high"
    confidence = "high"
    description = "VBScript that fetches bytes over HTTP, saves them and starts something"
    reference = "https://attack.mitre.org/techniques/T1059/005/"
    false_positives = "updaters of in-house tools written for the script host"
  strings:
    $http = /CreateObject\s{0,4}\(\s{0,4}"(MSXML2\.(Server)?XMLHTTP|Microsoft\.XMLHTTP|WinHttp\.WinHttpRequest)/ nocase
    $bytes = /\.responseBody\b/ nocase
    $save = /\.SaveToFile\b/ nocase
    $start = /(CreateObject\s{0,4}\(\s{0,4}"(WScript\.Shell|Shell\.Application)"\s{0,4}\)\s{0,2}|\b\w{1,32})\.(Run|Exec|ShellExecute)\b\s{0,4}\(?\s{0,4}["A-Za-z_]/ nocase
    // The header of a module of a document: macros have rules of their own.
    $module = "Attribute VB_Name"
  condition:
    filesize < 1MB and $http and $bytes and $save and $start and not $module
}

rule script_starts_downloading_powershell
{
  meta:
    id = "BKL-DRP-2008"
    threat_name = "Downloader.Script.PowerShell"
    category = "downloader"
    severity = "high"
    confidence = "high"
    description = "A script for the Windows script host that starts PowerShell to run what it downloads"
    reference = "https://attack.mitre.org/techniques/T1059/001/"
    false_positives = "installers of administrators that wrap PowerShell in VBScript"
  strings:
    $host = /(CreateObject|ActiveXObject)\s{0,4}\(\s{0,4}['"](WScript\.Shell|Shell\.Application)['"]/ nocase
    $start = /\.\s{0,2}(Run|Exec|ShellExecute)\b[^\n]{0,40}powershell[^\n]{0,200}(DownloadString|DownloadFile|DownloadData|\biwr\b|\birm\b|Invoke-WebRequest|Invoke-RestMethod|Start-BitsTransfer)[^\n]{0,80}https?:/ nocase
    $run = /(\biex\b|Invoke-Expression|Start-Process|\bsaps\b|Invoke-Item|DownloadFile)\b/ nocase
    $page = /<(html|hta:application|head)\b/ nocase
  condition:
    filesize < 512KB and $host and $start and $run and not $page
}

rule vbscript_runs_spelled_text
{
  meta:
    id = "BKL-DRP-2009"
    threat_name = "Obfuscated.VBScript"
    category = "dropper"
    severity = "medium"
    confidence = "high"
    description = "VBScript that executes a text spelled from character codes or turned around"
    reference = "https://attack.mitre.org/techniques/T1027/010/"
    false_positives = "none known: honest scripts do not spell their own code"
  strings:
    $spelled = /\b(Execute|ExecuteGlobal)\s{0,4}\(?\s{0,4}(Chr[BW]?\s{0,2}\(\s{0,4}(CLng\(|CInt\()?(&H)?[0-9A-F]{2,6}[^)\n]{0,16}\){1,3}\s{0,4}&\s{0,4}){8}/ nocase
    $reversed = /\b(Execute|ExecuteGlobal)\s{0,4}\(?\s{0,4}StrReverse\s{0,4}\(/ nocase
    $loop = /\b(Execute|ExecuteGlobal)\s{0,4}\(?\s{0,4}\w{1,32}\s{0,4}\(?\s{0,4}(Split|Mid|Replace)\s{0,4}\(\s{0,4}"[^"\n]{200}/ nocase
  condition:
    filesize < 2MB and any of them
}

rule encoded_script
{
  meta:
    id = "BKL-DRP-2010"
    threat_name = "Suspicious.Script.Encoded"
    category = "suspicious"
    severity = "low"
    confidence = "high"
    description = "A script in the encoded form of the Windows script host, which hides its text"
    reference = "https://attack.mitre.org/techniques/T1027/010/"
    false_positives = "commercial scripts that protect their text this way"
  strings:
    $encoded = /#@~\^[A-Za-z0-9+\/]{6}==[^\n]{16}/
    $end = /==\^#~@/
  condition:
    filesize < 4MB and $encoded and $end
}

rule page_saves_download_and_starts_it
{
  meta:
    id = "BKL-DRP-2011"
    threat_name = "Downloader.HTA"
    category = "downloader"
    severity = "high"
    confidence = "high"
    description = "An HTML application that writes a file and starts a program"
    reference = "https://attack.mitre.org/techniques/T1218/005/"
    false_positives = "installers written as HTML applications"
  strings:
    $page = /<(hta:application|script[^>]{0,40}(vbscript|jscript|javascript))/ nocase
    $object = /(CreateObject|ActiveXObject)\s{0,4}\(\s{0,4}['"](ADODB\.Stream|MSXML2\.(Server)?XMLHTTP|Microsoft\.XMLHTTP|WinHttp\.WinHttpRequest)/ nocase
    $save = /\.\s{0,2}SaveToFile\b/ nocase
    $start = /\.\s{0,2}(Run|Exec|ShellExecute)\b\s{0,4}\(?\s{0,4}["'A-Za-z_]/ nocase
    $shell = /['"](WScript\.Shell|Shell\.Application)['"]/ nocase
  condition:
    filesize < 2MB and all of them
}

rule page_unpacks_its_script
{
  meta:
    id = "BKL-DRP-2012"
    threat_name = "Obfuscated.HTA"
    category = "dropper"
    severity = "medium"
    confidence = "medium"
    description = "An HTML application whose script is decoded and executed at run time"
    reference = "https://attack.mitre.org/techniques/T1027/010/"
    false_positives = "HTML applications protected by a packer"
  strings:
    $page = "<hta:application" nocase
    $unescape = /\b(unescape|decodeURIComponent|atob)\s{0,4}\(\s{0,4}['"][%A-Za-z0-9+\/=]{200}/ nocase
    $codes = /String\.fromCharCode\s{0,4}\((\s{0,2}\d{2,3}\s{0,2},){30}/ nocase
    $run = /(\beval\s{0,4}\(|document\.write(ln)?\s{0,4}\(|\bexecScript\s{0,4}\(|\bExecute(Global)?\b)/ nocase
  condition:
    filesize < 4MB and $page and $run and ($unescape or $codes)
}
