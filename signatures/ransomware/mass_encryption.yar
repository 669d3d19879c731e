/* Scripts that encrypt, lock or rename many files of others. */

rule mass_encryption_shell
{
  meta:
    id = "BKL-RAN-0009"
    threat_name = "Ransom.Script.Shell"
    category = "ransomware"
    severity = "high"
    confidence = "medium"
    description = "A shell script that encrypts every file of many kinds and destroys the originals"
    reference = "https://attack.mitre.org/techniques/T1486/"
    false_positives = "backup scripts that encrypt and then delete, which name one folder rather than kinds of files"
  strings:
    $walk = /\bfind\s{1,4}[^\n]{1,200}-(type\s{1,4}f|i?name)\b/
    $encrypt_1 = /\bopenssl\s{1,4}(enc|rsautl|smime|aes-256-cbc|aes-128-cbc)\s/
    $encrypt_2 = /\bgpg\b[^\n]{0,80}(--symmetric|-c\b|--encrypt|-e\b)/
    $encrypt_3 = /\bccrypt\s/
    $encrypt_4 = /\b7za?\s{1,4}a\b[^\n]{0,60}\s-p/
    $encrypt_5 = /\bzip\b[^\n]{0,60}\s-P\s/
    $destroy_1 = /\bshred\s{1,4}-/
    $destroy_2 = /\brm\s{1,4}-[a-z]{0,4}f/
    $destroy_3 = /\bmv\s[^\n]{1,80}\.(enc|locked|crypt|encrypted)\b/
    $destroy_4 = /\bdd\s{1,4}if=\/dev\/(zero|urandom)/
    $kind = /\*\.(docx?|xlsx?|pptx?|pdf|jpe?g|png|sql|zip|mp4|mdb|psd|odt)\b/ nocase
    $note = /\b(bitcoins?|btc|monero|decrypt\s{1,4}your|ransom|files\s{1,4}(have\s{1,4}been|are|were)\s{1,4}encrypted)\b/ nocase
  condition:
    filesize < 128KB and $walk and any of ($encrypt_*) and any of ($destroy_*) and #kind >= 3 and $note
}

rule mass_encryption_python
{
  meta:
    id = "BKL-RAN-0010"
    threat_name = "Ransom.Script.Python"
    category = "ransomware"
    severity = "high"
    confidence = "medium"
    description = "Python that walks through folders, encrypts files of many kinds, removes the originals and demands something"
    reference = "https://attack.mitre.org/techniques/T1486/"
    false_positives = "teaching examples of ransomware"
  strings:
    $walk = /(os\.walk|\.rglob|glob\.glob|os\.listdir)\s{0,2}\(/
    $cipher = /(\bFernet\s{0,2}\(|\bAES\.new\s{0,2}\(|\bChaCha20(_Poly1305)?\.new\s{0,2}\(|\bSalsa20\.new\s{0,2}\(|algorithms\.AES\s{0,2}\(|pyAesCrypt\.encryptFile)/
    $remove = /(os\.(remove|unlink|rename|replace)\s{0,2}\(|\.unlink\s{0,2}\()/
    $kind = /['"]\*?\.?(docx?|xlsx?|pptx?|pdf|jpe?g|png|sql|zip|mp4|mdb|psd|odt|csv|txt)['"]\s{0,2}[,\]\)\}]/ nocase
    $demand = /\b(bitcoins?|btc|monero|ransom\w{0,12}|pay\s{1,4}(us|the)|(get|want)\s{1,4}your\s{1,4}files\s{1,4}back|files\s{1,4}(have\s{1,4}been|are|were)\s{1,4}encrypted)\b/ nocase
  condition:
    filesize < 256KB and $walk and $cipher and $remove and #kind >= 4 and $demand
}

rule mass_encryption_powershell
{
  meta:
    id = "BKL-RAN-0011"
    threat_name = "Ransom.Script.PowerShell"
    category = "ransomware"
    severity = "high"
    confidence = "medium"
    description = "PowerShell that encrypts files of many kinds in every folder, removes the originals and leaves a note"
    reference = "https://attack.mitre.org/techniques/T1486/"
    false_positives = "teaching examples of ransomware"
  strings:
    $walk = /(Get-ChildItem|\bgci\b|\bdir\b|EnumerateFiles|GetFiles)[^\n]{1,160}(-Recurse|AllDirectories|-r\b)/ ascii wide nocase
    $cipher = /(AesManaged|RijndaelManaged|AesCryptoServiceProvider|Cryptography\.Aes\]::Create|AesCng)/ ascii wide nocase
    $encrypt = "CreateEncryptor" ascii wide nocase
    $remove = /(Remove-Item\b|\bdel\s|\[(System\.)?IO\.File\]::(Delete|Move)|Rename-Item\b)/ ascii wide nocase
    $kind = /\*?\.(docx?|xlsx?|pptx?|pdf|jpe?g|png|sql|zip|mp4|mdb|psd)["',\s]/ ascii wide nocase
    $demand = /\b(bitcoins?|btc|monero|ransom\w{0,12}|your\s{1,4}files|decrypt)\b/ ascii wide nocase
  condition:
    filesize < 256KB and $walk and $cipher and $encrypt and $remove and #kind >= 4 and $demand
}

rule mass_rename_or_archive_batch
{
  meta:
    id = "BKL-RAN-0012"
    threat_name = "Ransom.Script.Batch"
    category = "ransomware"
    severity = "high"
    confidence = "medium"
    description = "A batch file that packs or encrypts files of many kinds with a password, deletes or renames them and leaves a note"
    reference = "https://attack.mitre.org/techniques/T1486/"
    false_positives = "none known"
  strings:
    $loop = /\bfor\s{1,4}\/[rfd]\b[^\n]{0,200}%%?\w\s{1,4}in\s{0,4}\(/ nocase
    $lock_1 = /\b7za?(\.exe)?["']?\s{1,4}a\b[^\n]{0,80}-p[^\n]{1,80}-sdel/ nocase
    $lock_2 = /\b(win)?rar(\.exe)?["']?\s{1,4}(a|m)\b[^\n]{0,80}-hp/ nocase
    $lock_3 = /\bgpg(\.exe)?\b[^\n]{0,80}(-c\b|--symmetric|-r\s)/ nocase
    $lock_4 = /\bopenssl(\.exe)?\s{1,4}enc\b/ nocase
    $lock_5 = /\bren(ame)?\s{1,4}["']?%%?\w["']?\s{1,4}[^\n]{0,40}\.(locked|enc|crypt|encrypted)\b/ nocase
    $kind = /\*\.(docx?|xlsx?|pptx?|pdf|jpe?g|png|sql|zip|mp4|mdb|psd|bak|dbf)\b/ nocase
    $demand = /\b(bitcoins?|btc|monero|ransom\w{0,12}|your\s{1,4}files|decrypt)\b/ nocase
  condition:
    filesize < 64KB and $loop and any of ($lock_*) and #kind >= 3 and $demand
}

rule hypervisor_encryption_script
{
  meta:
    id = "BKL-RAN-0013"
    threat_name = "Ransom.Script.Hypervisor"
    category = "ransomware"
    severity = "high"
    confidence = "high"
    description = "A script that ends all machines of a hypervisor and runs something over their disks"
    reference = "https://attack.mitre.org/techniques/T1486/"
    false_positives = "none known: backup software asks machines to pause"
  strings:
    $kill = /(esxcli\s{1,4}[^\n]{0,40}vm\s{1,4}process\s{1,4}(list|kill)|vim-cmd\s{1,4}vmsvc\/(power\.off|getallvms|snapshot\.removeall))/
    $force = /(--type[= ]force|power\.off|snapshot\.removeall|kill\s{1,4}-9)/
    $disks = /(\/vmfs\/volumes\/?[^\n]{0,120}(\.vmdk|\.vmx|\*)|find\s{1,4}\/vmfs\/volumes)/
    $encrypt = /\b(encrypt\w{0,8}|locker|openssl\s{1,4}enc|\.\/e(nc)?\s|nohup\s{1,4}\.\/\w{1,24})/
    $undone = /(chmod\s{1,4}(\+x|0?7[0-7]{2})|rm\s{1,4}-[rf]{1,2}\s{1,4}\/?(var\/log|[^\n]{0,20}\.vswp)|\/etc\/motd|execinstalledonly)/
  condition:
    filesize < 128KB and all of them
}

rule disk_encryption_extortion
{
  meta:
    id = "BKL-RAN-0014"
    threat_name = "Ransom.Script.DiskEncryption"
    category = "ransomware"
    severity = "high"
    confidence = "medium"
    description = "A script that turns on the encryption of Windows disks, takes the owner's way in away and sends or shows a contact"
    reference = "https://attack.mitre.org/techniques/T1486/"
    false_positives = "none known: administrators keep the recovery keys in the directory"
  strings:
    $tool = "manage-bde" ascii wide nocase
    $module = "BitLocker" ascii wide nocase
    $on = /(manage-bde(\.exe)?\s{1,4}-on\b|Enable-BitLocker\s)/ ascii wide nocase
    $taken = /(manage-bde(\.exe)?\s{1,4}-protectors\s{1,4}-(delete|disable)\b|Remove-BitLockerKeyProtector\s|manage-bde(\.exe)?\s{1,4}-forcerecovery\b)/ ascii wide nocase
    $contact = /[a-z0-9._-]{3,40}@(proton(mail)?|tuta(nota|mail)?|onionmail|cock|mailfence|aol|keemail)\.[a-z]{2,6}\b|\b(bitcoins?|monero)\b|trycloudflare\.com/ ascii wide nocase
    $hurry = /(\bshutdown(\.exe)?\s{1,4}[\/-][rs]|Stop-Computer\b|Restart-Computer\b|RecoveryKeyMessage|wevtutil(\.exe)?\s{1,4}cl\b|Set-Volume\b|\blabel\s{1,4}[c-z]:)/ ascii wide nocase
  condition:
    filesize < 256KB and ($tool or $module) and $on and $taken and $contact and $hurry
}
