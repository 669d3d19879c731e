/* Batch files and scripts that have tools of Windows fetch or run something. Small files only: manuals quote such lines. */

rule certutil_fetches_and_runs
{
  meta:
    id = "BKL-SCR-2017"
    threat_name = "Downloader.Batch.Certutil"
    category = "downloader"
    severity = "high"
    confidence = "high"
    description = "A script that downloads or decodes a program with certutil and starts it"
    reference = "https://attack.mitre.org/techniques/T1105/"
    false_positives = "none known: honest scripts have better ways to download"
  strings:
    $fetch = /certutil(\.exe)?["']?\s[^\n]{0,60}[-\/]urlcache\b[^\n]{0,60}\s["']?(https?|ftp):[^\n]{0,200}\.(exe|dll|bat|cmd|vbs|js|hta|ps1|scr|msi|txt|dat|bin|jpg|png)\b/ nocase
    $decode = /certutil(\.exe)?["']?\s{1,4}(-f\s{1,4})?[-\/]decode(hex)?\s{1,4}[^\n]{1,120}\.(exe|dll|bat|cmd|vbs|js|hta|ps1|scr)\b/ nocase
    $start = /((^|[\n&(])\s{0,8}@?(start|call|cmd(\.exe)?\s{1,4}\/c|rundll32|regsvr32|wscript|cscript|powershell)\b|&{1,2}\s{0,4}["%]?[\w%\\.:-]{1,80}\.(exe|bat|cmd|vbs)\b)/ nocase
  condition:
    filesize < 256KB and uint16(0) != 0x5A4D and $start and ($fetch or $decode)
}

rule bitsadmin_fetches_and_runs
{
  meta:
    id = "BKL-SCR-2018"
    threat_name = "Downloader.Batch.Bitsadmin"
    category = "downloader"
    severity = "high"
    confidence = "medium"
    description = "A script that downloads a program with bitsadmin and starts it, or has bitsadmin start it"
    reference = "https://attack.mitre.org/techniques/T1197/"
    false_positives = "old deployment scripts"
  strings:
    $fetch = /bitsadmin(\.exe)?["']?\s{1,4}\/(transfer|addfile)\b[^\n]{1,120}https?:[^\n]{1,200}\.(exe|dll|bat|cmd|vbs|js|hta|ps1|scr|dat|bin|jpg|png|txt)\b/ nocase
    $start = /((^|[\n&(])\s{0,8}@?(start|call|rundll32|regsvr32|wscript|cscript|powershell)\b|&{1,2}\s{0,4}["%]?[\w%\\.:-]{1,80}\.(exe|bat|cmd|vbs)\b|\/setnotifycmdline\b)/ nocase
  condition:
    filesize < 256KB and uint16(0) != 0x5A4D and all of them
}

rule regsvr32_runs_remote_scriptlet
{
  meta:
    id = "BKL-SCR-2019"
    threat_name = "Loader.Regsvr32"
    category = "loader"
    severity = "high"
    confidence = "high"
    description = "A command that makes regsvr32 run a scriptlet from the network"
    reference = "https://attack.mitre.org/techniques/T1218/010/"
    false_positives = "manuals in plain text that print the whole line"
  strings:
    $line = /regsvr32(\.exe)?["']?\s[^\n]{0,40}[\/-]i:["']?(https?:\/\/|\\\\)[^\n]{4,200}\sscrobj(\.dll)?\b/ ascii wide nocase
  condition:
    filesize < 64KB and $line
}

rule mshta_runs_inline_script
{
  meta:
    id = "BKL-SCR-2020"
    threat_name = "Loader.Mshta"
    category = "loader"
    severity = "high"
    confidence = "high"
    description = "A command that makes mshta run a script given as its argument"
    reference = "https://attack.mitre.org/techniques/T1218/005/"
    false_positives = "batch files that show a message box this way do not create objects"
  strings:
    $line = /mshta(\.exe)?["']?\s{1,4}["']{0,2}(vbscript|javascript|about):[^\n]{0,200}(CreateObject|GetObject|ActiveXObject|Execute\s{0,2}\()[^\n]{0,200}(\.Run|\.Exec|\.ShellExecute|script:https?:|https?:\/\/)/ ascii wide nocase
  condition:
    filesize < 64KB and $line
}

rule rundll32_runs_inline_script
{
  meta:
    id = "BKL-SCR-2021"
    threat_name = "Loader.Rundll32.Script"
    category = "loader"
    severity = "high"
    confidence = "high"
    description = "A command that makes rundll32 run a script given as its argument"
    reference = "https://attack.mitre.org/techniques/T1218/011/"
    false_positives = "manuals in plain text that print the whole line"
  strings:
    $line = /rundll32(\.exe)?["']?\s{1,4}["']?(javascript|vbscript):["'\\]{1,4}\.\.[\\\/]{1,2}mshtml[^\n]{0,40}RunHTMLApplication/ ascii wide nocase
  condition:
    filesize < 64KB and $line
}

rule wmic_runs_remote_stylesheet
{
  meta:
    id = "BKL-SCR-2022"
    threat_name = "Loader.Wmic"
    category = "loader"
    severity = "high"
    confidence = "high"
    description = "A command that makes wmic format its output with a style sheet from the network, which may hold a script"
    reference = "https://attack.mitre.org/techniques/T1220/"
    false_positives = "none known"
  strings:
    $line = /\bwmic(\.exe)?["']?\s[^\n]{1,80}\/format:\s{0,2}["']?(https?:\/\/|\\\\\d)/ ascii wide nocase
  condition:
    filesize < 64KB and $line
}

rule msiexec_installs_from_bare_address
{
  meta:
    id = "BKL-SCR-2023"
    threat_name = "Downloader.Msiexec"
    category = "downloader"
    severity = "medium"
    confidence = "medium"
    description = "A command that silently installs a package from an address without a name"
    reference = "https://attack.mitre.org/techniques/T1218/007/"
    false_positives = "laboratories that install from an address without a name; private address ranges do not match"
  strings:
    $name = "msiexec" ascii wide nocase
    $line = /\bmsiexec(\.exe)?["']?\s[^\n]{0,60}[\/-](i|package)\s{0,4}["']?https?:\/\/(2\d\d|[3-9]\d|1[3-689]\d)\.\d{1,3}\.\d{1,3}\.\d{1,3}[:\/][^\n]{0,120}[\/-]q(n|b|uiet)?\b/ ascii wide nocase
    $quiet_first = /\bmsiexec(\.exe)?["']?\s[^\n]{0,40}[\/-]q(n|b|uiet)?\s[^\n]{0,40}[\/-](i|package)\s{0,4}["']?https?:\/\/(2\d\d|[3-9]\d|1[3-689]\d)\.\d{1,3}\.\d{1,3}\.\d{1,3}[:\/]/ ascii wide nocase
  condition:
    filesize < 64KB and $name and any of ($line, $quiet_first)
}
