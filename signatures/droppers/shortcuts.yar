/* Windows shortcuts that start an interpreter instead of a program. */

private rule windows_shortcut
{
  condition:
    // HeaderSize and LinkCLSID of MS-SHLLINK.
    uint32(0) == 0x0000004C and uint32(4) == 0x00021401 and uint32(8) == 0 and uint32be(12) == 0xC0000000 and
    uint32be(16) == 0x00000046
}

rule shortcut_to_powershell
{
  meta:
    id = "BKL-DRP-0001"
    threat_name = "Dropper.LNK.PowerShell"
    category = "dropper"
    severity = "high"
    confidence = "high"
    description = "A shortcut whose arguments make PowerShell hide, decode or download"
    reference = "https://attack.mitre.org/techniques/T1204/002/"
    false_positives = "shortcuts that administrators wrote to hide a console window and that also download"
  strings:
    $interpreter = /powershell|pwsh/ ascii wide nocase
    $encoded = /-e(nc(odedcommand)?)?\s{1,4}[A-Za-z0-9+\/]{32}/ ascii wide nocase
    $decodes = "FromBase64String" ascii wide nocase
    $downloads = /(DownloadString|DownloadFile|Invoke-WebRequest|Start-BitsTransfer|\biwr\b)[^\n]{0,20}https?:/ ascii wide nocase
  condition:
    filesize < 1MB and windows_shortcut and $interpreter and any of ($encoded, $decodes, $downloads)
}

rule shortcut_to_mshta
{
  meta:
    id = "BKL-DRP-0002"
    threat_name = "Dropper.LNK.Mshta"
    category = "dropper"
    severity = "high"
    confidence = "high"
    description = "A shortcut that makes mshta or regsvr32 run a script from the network or from its own text"
    reference = "https://attack.mitre.org/techniques/T1218/005/"
    false_positives = "none known"
  strings:
    // Target and arguments are separate strings of a shortcut, in this order.
    $mshta = /\bmshta(\.exe)?\b/ ascii wide nocase
    $script = /(https?:\/\/|vbscript:|javascript:)/ ascii wide nocase
    $scriptlet = /regsvr32(\.exe)?[^\n]{0,40}\/i:https?:[^\n]{0,200}scrobj/ ascii wide nocase
  condition:
    filesize < 1MB and windows_shortcut and (($mshta and $script) or $scriptlet)
}
