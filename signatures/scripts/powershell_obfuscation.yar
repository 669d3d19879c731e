/* PowerShell that hides its own text. */

rule powershell_joins_characters
{
  meta:
    id = "BKL-SCR-2001"
    threat_name = "Obfuscated.PowerShell.Characters"
    category = "loader"
    severity = "medium"
    confidence = "high"
    description = "PowerShell that executes a text joined from character codes"
    reference = "https://attack.mitre.org/techniques/T1027/010/"
    false_positives = "none known: honest scripts do not spell their own code"
  strings:
    // What all three forms have; the rest alone would be looked for in every file.
    $char = "[char" ascii wide nocase
    $list = /(\d{2,3}\s{0,2}[,;:_~-]\s{0,2}){24}[^\n]{0,2000}(%|ForEach(-Object)?)\s{0,2}\{[^\n}]{0,40}\[char\]/ ascii wide nocase
    $array = /\[char\[\]\]\s{0,4}@?\(?\s{0,4}((0x)?[0-9a-f]{2,3}\s{0,2},\s{0,2}){16}/ ascii wide nocase
    $sum = /(\[char\]\s{0,2}\(?\s{0,2}(0x)?[0-9a-f]{2,3}\s{0,2}\)?\s{0,2}\+\s{0,2}){8}/ ascii wide nocase
    $run = /(\biex\b|Invoke-Expression|\.Invoke\s{0,2}\(|\[ScriptBlock\]::Create)/ ascii wide nocase
  condition:
    filesize < 4MB and $char and $run and ($list or $array or $sum)
}

rule powershell_xor_loader
{
  meta:
    id = "BKL-SCR-2002"
    threat_name = "Loader.PowerShell.Xor"
    category = "loader"
    severity = "high"
    confidence = "high"
    description = "PowerShell that decodes Base64, undoes an exclusive or byte by byte and executes the result"
    reference = "https://attack.mitre.org/techniques/T1140/"
    false_positives = "none known"
  strings:
    $decode = /FromBase64String\s{0,4}\(/ ascii wide nocase
    $loop = /(\[\s{0,2}\$\w{1,32}\s{0,2}(%[^\]\n]{1,40})?\]|\$_|\$\w{1,32})\s{0,4}-bxor\s{1,4}(0x[0-9a-f]{1,4}|\d{1,3}|\$\w{1,32})/ ascii wide nocase
    $run = /(\biex\b|Invoke-Expression|Assembly\]::Load\b|\[ScriptBlock\]::Create|GetDelegateForFunctionPointer|CreateThread)/ ascii wide nocase
  condition:
    filesize < 4MB and all of them
}

rule powershell_inflates_and_runs
{
  meta:
    id = "BKL-SCR-2003"
    threat_name = "Loader.PowerShell.Inflated"
    category = "loader"
    severity = "high"
    confidence = "medium"
    description = "PowerShell that decodes Base64 in its own text, decompresses it and executes the result"
    reference = "https://attack.mitre.org/techniques/T1140/"
    false_positives = "self-contained installers that carry their script compressed"
  strings:
    $decode = /FromBase64String\s{0,4}\(\s{0,4}["'\(]{1,2}H4sI[A-Za-z0-9+\/]{24}|FromBase64String\s{0,4}\(\s{0,4}\(?["'][A-Za-z0-9+\/]{200}/ ascii wide nocase
    $inflate = /IO\.Compression\.(Gzip|Deflate)Stream/ ascii wide nocase
    $read = /\.(ReadToEnd|CopyTo)\s{0,2}\(/ ascii wide nocase
    $run = /(\biex\b|Invoke-Expression|\[ScriptBlock\]::Create|Assembly\]::Load\b)/ ascii wide nocase
  condition:
    filesize < 4MB and all of them
}

rule powershell_reorders_text
{
  meta:
    id = "BKL-SCR-2004"
    threat_name = "Obfuscated.PowerShell.Format"
    category = "loader"
    severity = "medium"
    confidence = "medium"
    description = "PowerShell that builds names and commands again and again by reordering pieces with the format operator"
    reference = "https://attack.mitre.org/techniques/T1027/010/"
    false_positives = "commercial scripts run through an obfuscator"
  strings:
    $format = /["'](\{\d{1,2}\}){4,40}["']\s{0,4}-f\s{0,4}["']/ ascii wide nocase
    $fourth_first = "{3}{" ascii wide
    $fourth = "}{3}" ascii wide
    $run = /([&.]\s{0,2}\(\s{0,2}["'](\{\d{1,2}\}){2,40}["']\s{0,4}-f|\biex\b|Invoke-Expression|\.Invoke\s{0,2}\()/ ascii wide nocase
  condition:
    filesize < 4MB and any of ($fourth_first, $fourth) and #format > 3 and $run
}

rule powershell_key_in_script_loader
{
  meta:
    id = "BKL-SCR-2005"
    threat_name = "Loader.PowerShell.SecureString"
    category = "loader"
    severity = "medium"
    confidence = "high"
    description = "PowerShell that decrypts a secure string with a key in the script and executes the result"
    reference = "https://attack.mitre.org/techniques/T1140/"
    false_positives = "scripts that hide a password of their own this way do not execute it"
  strings:
    $key = /ConvertTo-SecureString\b[^\n]{0,4000}-k(ey?)?\s{1,4}(\(|@\(|\d)/ ascii wide nocase
    $plain = /(PtrToString(Auto|BSTR|Uni)|\.GetNetworkCredential\s{0,2}\(|SecureStringTo(BSTR|GlobalAllocUnicode))/ ascii wide nocase
    $run = /(\|\s{0,4}(iex|Invoke-Expression)\b|\b(iex|Invoke-Expression)\s{0,4}\()/ ascii wide nocase
  condition:
    filesize < 4MB and all of them
}
