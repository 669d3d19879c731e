/* Windows shortcuts whose arguments do the work. */

private rule windows_shortcut_file
{
  condition:
    // HeaderSize and LinkCLSID of MS-SHLLINK.
    uint32(0) == 0x0000004C and uint32(4) == 0x00021401 and uint32(8) == 0 and uint32be(12) == 0xC0000000 and
    uint32be(16) == 0x00000046
}

rule shortcut_to_download_tool
{
  meta:
    id = "BKL-DRP-2001"
    threat_name = "Dropper.LNK.Command"
    category = "dropper"
    severity = "high"
    confidence = "high"
    description = "A shortcut that makes the command processor fetch or decode a file with a tool of Windows"
    reference = "https://attack.mitre.org/techniques/T1204/002/"
    false_positives = "none known"
  strings:
    $shell = /\bcmd(\.exe)?\b/ ascii wide nocase
    $tool = /\b(certutil|bitsadmin|curl|ftp|finger|mshta|rundll32)(\.exe)?\b[^\n]{0,80}(https?:\/\/|-decode|\/transfer|\\\\\d{1,3}\.\d)/ ascii wide nocase
  condition:
    filesize < 1MB and windows_shortcut_file and all of them
}

rule shortcut_reads_itself
{
  meta:
    id = "BKL-DRP-2002"
    threat_name = "Dropper.LNK.SelfReading"
    category = "dropper"
    severity = "high"
    confidence = "high"
    description = "A shortcut that looks for a shortcut by name or size and cuts a payload out of it"
    reference = "https://attack.mitre.org/techniques/T1027/012/"
    false_positives = "none known"
  strings:
    $find = /(\*|\w)\.lnk\b/ ascii wide nocase
    $cut = /(\bfindstr\b[^\n]{0,200}\*?\.lnk|ReadAllBytes\s{0,2}\(|\[IO\.File(Stream|Mode)?\]|\bgc\b[^\n]{0,80}\.lnk|Get-Content[^\n]{0,80}\.lnk|\.Length\s{1,2}-eq\s{1,2}(0x)?[0-9a-f]{4,10})/ ascii wide nocase
    $shell = /\b(cmd|powershell|pwsh|mshta|wscript)\b/ ascii wide nocase
  condition:
    windows_shortcut_file and filesize < 64MB and all of them
}

rule shortcut_to_script_host
{
  meta:
    id = "BKL-DRP-2003"
    threat_name = "Worm.LNK.Script"
    category = "worm"
    severity = "medium"
    confidence = "high"
    description = "A shortcut that runs a hidden script or library beside it and opens a folder or document as a cover"
    reference = "https://attack.mitre.org/techniques/T1091/"
    false_positives = "start menus on removable drives written by hand"
  strings:
    $script = /\b(wscript|cscript|rundll32|regsvr32)(\.exe)?\b/ ascii wide nocase
    $cover = /[&;]\s{0,4}(start\s{1,4}|explorer(\.exe)?\s{1,4}|ii\s{1,4}|invoke-item\s{1,4})/ ascii wide nocase
    $shell = /\/[cr]\b[^\n]{0,40}\b(start|wscript|cscript|rundll32|regsvr32)/ ascii wide nocase
  condition:
    filesize < 1MB and windows_shortcut_file and all of them
}

rule shortcut_with_padded_arguments
{
  meta:
    id = "BKL-DRP-2004"
    threat_name = "Dropper.LNK.Padded"
    category = "dropper"
    severity = "medium"
    confidence = "high"
    description = "A shortcut with so much white space before its arguments that the properties window does not show them"
    reference = "https://attack.mitre.org/techniques/T1027/012/"
    false_positives = "none known"
  strings:
    // Windows shows 260 characters of arguments.
    $blanks_before_c = / {40}\/c/ wide nocase
    $blanks_before_k = / {40}\/k/ wide nocase
    $blanks_before_v = / {40}\/v/ wide nocase
    $blanks_before_name = / {40}(cmd|powershell|mshta|http)/ wide nocase
    $lines = "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n" wide
    $tabs = "\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t" wide
    $shell = /\b(cmd|powershell|pwsh|mshta|wscript|cscript|rundll32|forfiles|conhost)(\.exe)?\b/ ascii wide nocase
  condition:
    filesize < 1MB and windows_shortcut_file and $shell and (any of ($blanks*) or #lines > 1 or #tabs > 2)
}

rule shortcut_to_network_program
{
  meta:
    id = "BKL-DRP-2005"
    threat_name = "Dropper.LNK.WebDAV"
    category = "dropper"
    severity = "medium"
    confidence = "high"
    description = "A shortcut that runs a program or script from a web folder on the internet"
    reference = "https://attack.mitre.org/techniques/T1570/"
    false_positives = "none known: programs on a company's file server are not reached through a web folder"
  strings:
    $folder = /\\\\[A-Za-z0-9.-]{3,120}@(SSL|\d{2,5})(@\d{2,5})?\\/ ascii wide nocase
    $named = /\\\\[A-Za-z0-9.-]{3,120}(@[A-Za-z0-9@]{1,10})?\\DavWWWRoot\\/ ascii wide nocase
    $code = /\.(exe|dll|cpl|js|jse|vbs|vbe|wsf|hta|bat|cmd|ps1|msi|scr|com|jar|py)\b/ ascii wide nocase
  condition:
    filesize < 1MB and windows_shortcut_file and $code and ($folder or $named)
}
