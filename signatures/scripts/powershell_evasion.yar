/* PowerShell that blinds what watches it. */

rule powershell_amsi_flag
{
  meta:
    id = "BKL-SCR-2006"
    threat_name = "Evasion.AMSI.Flag"
    category = "evasion"
    severity = "high"
    confidence = "high"
    description = "PowerShell that tells itself by reflection that the scan interface has failed to load"
    reference = "https://attack.mitre.org/techniques/T1562/001/"
    false_positives = "notes of penetration testers that hold the whole line"
  strings:
    $type = /(Automation\.['"]?\s{0,2}\+?\s{0,2}['"]?Amsi|Amsi['"]?\s{0,2}\+?\s{0,2}['"]?Utils)/ ascii wide nocase
    $field = /(amsiInit['"]?\s{0,2}\+?\s{0,2}['"]?Failed|amsi(Context|Session)['"]\s{0,4},)/ ascii wide nocase
    $set = /(\.SetValue\s{0,2}\(|Marshal\]::(WriteInt32|WriteByte|Copy)\s{0,2}\()/ ascii wide nocase
    $get = /\.GetField\s{0,2}\(/ ascii wide nocase
  condition:
    filesize < 1MB and all of them
}

rule powershell_amsi_patch
{
  meta:
    id = "BKL-SCR-2007"
    threat_name = "Evasion.AMSI.Patch"
    category = "evasion"
    severity = "high"
    confidence = "high"
    description = "A script that makes the scan interface's function writable and overwrites it"
    reference = "https://attack.mitre.org/techniques/T1562/001/"
    false_positives = "none known"
  strings:
    $function = /Amsi['"]?\s{0,2}\+?\s{0,2}['"]?Scan['"]?\s{0,2}\+?\s{0,2}['"]?Buffer|amsi['"]?\s{0,2}\+?\s{0,2}['"]?\.dll['"]/ ascii wide nocase
    $protect = /Virtual['"]?\s{0,2}\+?\s{0,2}['"]?Protect/ ascii wide nocase
    $address = /Get['"]?\s{0,2}\+?\s{0,2}['"]?ProcAddress\s{0,2}["'(]/ ascii wide nocase
    $write = /(Marshal\]::(Copy|WriteByte|WriteInt32)\s{0,2}\(|Marshal\.(Copy|WriteByte|WriteInt32)\s{0,2}\(|RtlMoveMemory|WriteProcessMemory)/ ascii wide nocase
  condition:
    filesize < 1MB and uint16(0) != 0x5A4D and all of them
}

rule powershell_blinds_event_tracing
{
  meta:
    id = "BKL-SCR-2008"
    threat_name = "Evasion.ETW"
    category = "evasion"
    severity = "high"
    confidence = "high"
    description = "A script that overwrites the function which reports events, or empties PowerShell's own provider"
    reference = "https://attack.mitre.org/techniques/T1562/006/"
    false_positives = "none known"
  strings:
    $function = "EtwEventWrite" ascii wide nocase
    $joined = /['"]EtwE\w{0,9}['"]\s{0,2}\+/ ascii wide nocase
    $protect = /Virtual['"]?\s{0,2}\+?\s{0,2}['"]?Protect\b/ ascii wide nocase
    $write = /(Marshal\]::(Copy|WriteByte)\s{0,2}\(|Marshal\.(Copy|WriteByte)\s{0,2}\(|WriteProcessMemory)/ ascii wide nocase
    $provider = /Tracing\.PSEtwLogProvider/ ascii wide nocase
    $enabled = /(m_enabled|etwProvider)['"][^\n]{0,120}\.(SetValue|GetValue)\s{0,2}\(/ ascii wide nocase
  condition:
    filesize < 1MB and uint16(0) != 0x5A4D and ((any of ($function, $joined) and $protect and $write) or ($provider and $enabled))
}

rule script_switches_defender_off
{
  meta:
    id = "BKL-SCR-2009"
    threat_name = "Evasion.Defender.Off"
    category = "evasion"
    severity = "medium"
    confidence = "high"
    description = "A script that switches several parts of Microsoft Defender off"
    reference = "https://attack.mitre.org/techniques/T1562/001/"
    false_positives = "scripts that strip Windows on purpose, also those of test laboratories"
  strings:
    $realtime = /Set-MpPreference[^\n]{0,200}-DisableRealtimeMonitoring\s{1,4}(\$true|1)/ ascii wide nocase
    $behaviour = /-DisableBehaviorMonitoring\s{1,4}(\$true|1)/ ascii wide nocase
    $downloads = /-DisableIOAVProtection\s{1,4}(\$true|1)/ ascii wide nocase
    $scripts = /-DisableScriptScanning\s{1,4}(\$true|1)/ ascii wide nocase
    $samples = /-SubmitSamplesConsent\s{1,4}(2|NeverSend)/ ascii wide nocase
    $cloud = /-MAPSReporting\s{1,4}(0|Disabled)/ ascii wide nocase
    $network = /-EnableNetworkProtection\s{1,4}(0|AuditMode|Disabled)/ ascii wide nocase
    $folders = /-EnableControlledFolderAccess\s{1,4}(0|Disabled)/ ascii wide nocase
  condition:
    filesize < 512KB and $realtime and 2 of ($behaviour, $downloads, $scripts, $samples, $cloud, $network, $folders)
}

rule script_excludes_itself_and_downloads
{
  meta:
    id = "BKL-SCR-2010"
    threat_name = "Dropper.Script.Exclusion"
    category = "dropper"
    severity = "high"
    confidence = "medium"
    description = "A script that has Microsoft Defender leave out a whole drive, the temporary folder or all programs, and then downloads a program"
    reference = "https://attack.mitre.org/techniques/T1562/001/"
    false_positives = "build scripts that exclude a drive and download a compiler"
  strings:
    $exclude = /(Add|Set)-MpPreference\s[^\n]{0,80}-Exclusion(Path|Extension|Process)\s{1,4}[^\n]{0,40}(['"]?[A-Z]:\\?['"]?\s{0,4}([\r\n;&|,)]|$)|\$env:(temp|tmp|appdata|localappdata|userprofile|public|systemdrive)|%(temp|tmp|appdata|userprofile|public)%|['"]?\.?exe\b|\\Users\\Public)/ ascii wide nocase
    $download = /(DownloadFile\s{0,2}\(|DownloadData\s{0,2}\(|Invoke-WebRequest|\biwr\b|Start-BitsTransfer|\bcurl(\.exe)?\b|bitsadmin|certutil)[^\n]{0,160}https?:[^\s'"]{4,200}\.(exe|dll|scr|bat|zip|bin|dat)\b/ ascii wide nocase
    $start = /(Start-Process|\bsaps\b|Invoke-Item|\.Start\(|\bstart\s{1,4}["\/%])/ ascii wide nocase
  condition:
    filesize < 512KB and all of them
}
