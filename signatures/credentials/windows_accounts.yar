/* Scripts that copy what Windows keeps of passwords. Small files only: manuals quote such lines. */

rule lsass_dump_with_comsvcs
{
  meta:
    id = "BKL-CRE-0001"
    threat_name = "Credentials.LSASS.Comsvcs"
    category = "credential_theft"
    severity = "high"
    confidence = "high"
    description = "A command that writes the memory of a process to a file with a library of Windows, as is done to LSASS"
    reference = "https://attack.mitre.org/techniques/T1003/001/"
    false_positives = "notes of penetration testers"
  strings:
    $line = /rundll32(\.exe)?["']?\s[^\n]{0,60}comsvcs(\.dll)?["']?\s{0,2},?\s{0,2}["']?(MiniDump\s{1,2}[^\s|]|#[+-]?0{0,6}24\s)/ ascii wide nocase
  condition:
    filesize < 256KB and uint16(0) != 0x5A4D and $line
}

rule lsass_dump_with_tool
{
  meta:
    id = "BKL-CRE-0002"
    threat_name = "Credentials.LSASS.Procdump"
    category = "credential_theft"
    severity = "high"
    confidence = "high"
    description = "A command that has a diagnostic tool write the memory of LSASS to a file"
    reference = "https://attack.mitre.org/techniques/T1003/001/"
    false_positives = "instructions of vendors for a support case"
  strings:
    $procdump = /procdump(64)?(\.exe)?["']?\s[^\n]{0,60}[\/-]m[amp]\s[^\n]{0,40}\blsass(\.exe)?\b/ ascii wide nocase
    $reversed = /procdump(64)?(\.exe)?["']?\s[^\n]{0,40}\blsass(\.exe)?\s[^\n]{0,40}[\/-]m[amp]\b/ ascii wide nocase
    $other = /\b(sqldumper|createdump|tttracer|rdrleakdiag|avdump)(\.exe)?["']?\s[^\n]{0,120}\blsass\b/ ascii wide nocase
  condition:
    filesize < 256KB and uint16(0) != 0x5A4D and any of them
}

rule lsass_dump_in_source
{
  meta:
    id = "BKL-CRE-0003"
    threat_name = "Credentials.LSASS.Dumper"
    category = "credential_theft"
    severity = "high"
    confidence = "high"
    description = "Source text that opens LSASS and writes its memory to a file"
    reference = "https://attack.mitre.org/techniques/T1003/001/"
    false_positives = "none known"
  strings:
    $call = /\bMiniDumpWriteDump\b['"]?\s{0,4}[\(,\)\]]/ ascii wide
    $process = /(GetProcessesByName\s{0,2}\(\s{0,2}|Get-Process\s{1,4}(-Name\s{1,4})?|strcmp\w{0,4}\s{0,2}\([^\n]{1,60}|FindProcess\w{0,12}\s{0,2}\(\s{0,2}|==\s{0,2})L?['"]?lsass(\.exe)?\b/ ascii wide nocase
  condition:
    filesize < 1MB and uint16(0) != 0x5A4D and all of them
}

rule credential_tool_commands
{
  meta:
    id = "BKL-CRE-0004"
    threat_name = "Credentials.Tool.Commands"
    category = "credential_theft"
    severity = "high"
    confidence = "high"
    description = "A sequence of commands of a well-known tool that reads passwords out of memory"
    reference = "https://attack.mitre.org/software/S0002/"
    false_positives = "notes of penetration testers"
  strings:
    $sequence = /privilege::debug["']?[\s,;"']{1,12}(log["'\s][^\n]{0,60}[\s,;"']{1,8}|token::elevate["'\s,;]{1,12}){0,2}(sekurlsa|lsadump|kerberos|vault|dpapi)::[a-z]{2,20}/ ascii wide nocase
    $cmdlet = /\bInvoke-Mimikatz\b[^\n]{0,40}\s-(DumpCreds|DumpCerts|Command\s)/ ascii wide nocase
    $replication = /lsadump::dcsync["']?\s{1,4}["']?\/(domain|user|all)\b/ ascii wide nocase
  condition:
    filesize < 256KB and uint16(0) != 0x5A4D and any of them
}

rule account_hives_saved
{
  meta:
    id = "BKL-CRE-0005"
    threat_name = "Credentials.SAM"
    category = "credential_theft"
    severity = "high"
    confidence = "high"
    description = "A script that saves the registry hives which hold password hashes and the key to them"
    reference = "https://attack.mitre.org/techniques/T1003/002/"
    false_positives = "backup scripts that save whole hives"
  strings:
    $hashes = /\breg(\.exe)?["']?\s{1,4}save\s{1,4}["']?(HKLM|HKEY_LOCAL_MACHINE)\\(SAM|SECURITY)\b/ ascii wide nocase
    $key = /\breg(\.exe)?["']?\s{1,4}save\s{1,4}["']?(HKLM|HKEY_LOCAL_MACHINE)\\SYSTEM["']?\s/ ascii wide nocase
  condition:
    filesize < 256KB and uint16(0) != 0x5A4D and all of them
}

rule account_files_from_shadow_copy
{
  meta:
    id = "BKL-CRE-0006"
    threat_name = "Credentials.ShadowCopy"
    category = "credential_theft"
    severity = "high"
    confidence = "high"
    description = "A script that copies the files with password hashes out of a shadow copy"
    reference = "https://attack.mitre.org/techniques/T1003/003/"
    false_positives = "recovery scripts for domain controllers"
  strings:
    $copy = /\b(copy|xcopy|robocopy|esentutl(\.exe)?|Copy-Item|\[IO\.File\]::Copy|type|mklink)\b[^\n]{0,60}HarddiskVolumeShadowCopy(\d{1,3}|%\w{1,8}|\$\w{1,12})[^\n]{0,60}(\\config\\(SAM|SECURITY|SYSTEM)\b|\\ntds\.dit)/ ascii wide nocase
  condition:
    filesize < 256KB and uint16(0) != 0x5A4D and $copy
}

rule domain_database_copied
{
  meta:
    id = "BKL-CRE-0007"
    threat_name = "Credentials.NTDS"
    category = "credential_theft"
    severity = "high"
    confidence = "medium"
    description = "A command that has a copy of the domain's account database made as installation media"
    reference = "https://attack.mitre.org/techniques/T1003/003/"
    false_positives = "administrators who install a domain controller from media"
  strings:
    $line = /ntdsutil(\.exe)?["']?\s[^\n]{0,80}\bac(tivate)?\s{1,4}i(nstance)?\s{1,4}ntds\b[^\n]{0,60}\bifm\b[^\n]{0,60}\bcr(eate)?\s{1,4}fu(ll)?\b/ ascii wide nocase
  condition:
    filesize < 256KB and uint16(0) != 0x5A4D and $line
}
