/* What is run just before files are encrypted: backups, logs and services go away. */

rule recovery_removal_script
{
  meta:
    id = "BKL-RAN-0006"
    threat_name = "Ransom.Tool.NoRecovery"
    category = "ransomware"
    severity = "high"
    confidence = "high"
    description = "A script that deletes shadow copies and switches recovery off in several ways at once"
    reference = "https://attack.mitre.org/techniques/T1490/"
    false_positives = "test scripts for detections"
  strings:
    $way_1 = /vssadmin(\.exe)?["']?\s{1,4}delete\s{1,4}shadows/ ascii wide nocase
    $way_2 = /wmic(\.exe)?["']?\s{1,4}shadowcopy\s{1,4}([^\n]{0,40}\s)?delete/ ascii wide nocase
    $way_3 = /wbadmin(\.exe)?["']?\s{1,4}delete\s{1,4}(catalog|systemstatebackup|backup)/ ascii wide nocase
    $way_4 = /bcdedit(\.exe)?["']?\s{1,4}[^\n]{0,60}recoveryenabled\s{1,4}(no|off)/ ascii wide nocase
    $way_5 = /bcdedit(\.exe)?["']?\s{1,4}[^\n]{0,60}bootstatuspolicy\s{1,4}ignoreallfailures/ ascii wide nocase
    $way_6 = /Win32_Shadowcopy\b[^\n]{0,80}(\.Delete\s{0,2}\(|Remove-(WmiObject|CimInstance))/ ascii wide nocase
    $way_7 = /vssadmin(\.exe)?["']?\s{1,4}resize\s{1,4}shadowstorage\b[^\n]{0,80}maxsize\s{0,2}=\s{0,2}401MB/ ascii wide nocase
    $way_8 = /Disable-ComputerRestore\b/ ascii wide nocase
  condition:
    filesize < 256KB and 3 of them
}

rule logs_and_journal_cleared
{
  meta:
    id = "BKL-RAN-0007"
    threat_name = "Ransom.Tool.NoTraces"
    category = "ransomware"
    severity = "high"
    confidence = "medium"
    description = "A script that empties the event logs and deletes what else would tell or restore what happened"
    reference = "https://attack.mitre.org/techniques/T1070/001/"
    false_positives = "scripts that prepare images of machines"
  strings:
    $log = /wevtutil(\.exe)?["']?\s{1,4}(cl|clear-log)\s{1,4}["']?[\w%*-]/ ascii wide nocase
    $journal = /fsutil(\.exe)?["']?\s{1,4}usn\s{1,4}deletejournal/ ascii wide nocase
    $shadow = /vssadmin(\.exe)?["']?\s{1,4}delete\s{1,4}shadows|wmic(\.exe)?["']?\s{1,4}shadowcopy\s{1,4}delete/ ascii wide nocase
    $free = /\bcipher(\.exe)?\s{1,4}\/w:/ ascii wide nocase
  condition:
    filesize < 256KB and (#log >= 3 and ($journal or $shadow or $free))
}

rule backup_services_stopped
{
  meta:
    id = "BKL-RAN-0008"
    threat_name = "Ransom.Tool.StopsServices"
    category = "ransomware"
    severity = "high"
    confidence = "high"
    description = "A script that stops a long list of backup, database and protection services"
    reference = "https://attack.mitre.org/techniques/T1489/"
    false_positives = "none known: updates stop the services of one product"
  strings:
    $stop = /(\bnet(1|\.exe)?\s{1,4}stop\s|\bsc(\.exe)?\s{1,4}(config|stop|delete)\s|\btaskkill(\.exe)?\s{1,4}\/|\bStop-Service\s|\bStop-Process\s)/ nocase
    $name_1 = /\bveeam/ nocase
    $name_2 = /\b(BackupExec|BackupExecAgent)/ nocase
    $name_3 = /\b(SQLWriter|MSSQL|sqlservr|SQLAgent|SQLSERVERAGENT|SQLBrowser)/ nocase
    $name_4 = /\b(sophos|SAVService|mcshield|McAfee|ekrn|avp|kavfs|bdredline|MsMpEng|WinDefend|SepMasterService)\b/ nocase
    $name_5 = /\b(AcronisAgent|AcrSch2Svc|Acronis)/ nocase
    $name_6 = /\b(QBFCService|QBIDPService|QuickBooks)/ nocase
    $name_7 = /\b(wbengine|VSS|swprv|SDRSVC)\b/
    $name_8 = /\b(mepocs|memtas|oracle|mysqld?|postgresql|MSExchange)/ nocase
  condition:
    filesize < 256KB and #stop >= 12 and 5 of ($name_*)
}
