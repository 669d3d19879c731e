/* Scripts of Unix shells that fetch a program and run it out of sight. */

rule shell_pipes_address_to_shell
{
  meta:
    id = "BKL-DRP-1001"
    threat_name = "Dropper.Shell.AddressPipe"
    category = "dropper"
    severity = "medium"
    confidence = "medium"
    description = "A script that pipes what an unnamed public address serves straight into a shell"
    reference = "https://attack.mitre.org/techniques/T1105/"
    false_positives = "set-up scripts of private networks with public addresses"
  strings:
    $pipe = /\b(curl|wget)\s[^\n|;]{0,120}https?:\/\/([0-9]{1,3}\.){3}[0-9]{1,3}(:[0-9]{1,5})?\/[^\n|]{0,120}\|\s{0,4}(sudo\s{1,4}|nohup\s{1,4})?(\/bin\/)?(ba|da|z)?sh\b/
    $inside = /\b(ba|da|z)?sh\s{1,4}(-c\s{1,4}["']?\$\(|<\s{0,2}<?\()\s{0,4}(curl|wget)\s[^\n|;]{0,120}https?:\/\/([0-9]{1,3}\.){3}[0-9]{1,3}(:[0-9]{1,5})?\//
    $local = /\b(curl|wget)\s[^\n|;]{0,120}https?:\/\/(127|10|192\.168|169\.254|172\.(1[6-9]|2[0-9]|3[01])|0)\./
  condition:
    filesize < 256KB and ($pipe or $inside) and not $local
}

rule shell_tries_every_architecture
{
  meta:
    id = "BKL-DRP-1002"
    threat_name = "Dropper.Shell.Botnet"
    category = "dropper"
    severity = "high"
    confidence = "high"
    description = "A script that looks for a writable folder and runs a bot built for one processor after another"
    reference = "https://attack.mitre.org/techniques/T1105/"
    false_positives = "none known"
  strings:
    $folder = /\bcd\s{1,4}\/(tmp|var\/run|dev\/shm|mnt|var\/tmp)\s{0,4}\|\|\s{0,4}cd\s{1,4}\//
    $fetch = /\b(wget|curl|tftp|ftpget)\s[^\n;]{0,160}[\/.](mips|mipsel|mpsl|arm[4567]?l?|ppc|powerpc|sh4|m68k|sparc|spc|i[56]86|x86|x86_64|arc)\b/
    $executable = /chmod\s{1,4}(\+x|0?777|\*)/
    $run = /;\s{0,4}(\.\/|sh\s)[^\n;]{1,60}/
  condition:
    filesize < 64KB and $folder and #fetch >= 3 and $executable and $run
}

rule shell_hidden_download_run
{
  meta:
    id = "BKL-DRP-1003"
    threat_name = "Dropper.Shell.Hidden"
    category = "dropper"
    severity = "high"
    confidence = "medium"
    description = "A script that fetches a program into a hidden file of a temporary folder and starts it in the background without output"
    reference = "https://attack.mitre.org/techniques/T1564/001/"
    false_positives = "none known"
  strings:
    $fetch = /\b(curl|wget)\s[^\n]{0,200}(-o|-O|--output|>)\s{0,4}["']?\/(tmp|dev\/shm|var\/tmp)\/\.[\w.\/-]{1,60}/
    $executable = /chmod\s{1,4}(\+x|[ua]\+x|0?7[0-7]{2})\s{1,4}["']?\/(tmp|dev\/shm|var\/tmp)\/\./
    $start = /(nohup\s{1,4}|setsid\s{1,4}|\(\s{0,2})?["']?\/(tmp|dev\/shm|var\/tmp)\/\.[\w.\/-]{1,60}["']?[^\n]{0,60}>\s{0,2}\/dev\/null[^\n]{0,20}&/
  condition:
    filesize < 128KB and all of them
}

rule shell_decodes_itself_into_shell
{
  meta:
    id = "BKL-DRP-1004"
    threat_name = "Dropper.Shell.Encoded"
    category = "dropper"
    severity = "medium"
    confidence = "medium"
    description = "A script that pipes a long Base64 constant of its own through a decoder into a shell"
    reference = "https://attack.mitre.org/techniques/T1140/"
    false_positives = "installers of administrators that carry their script this way"
  strings:
    $pipe = /\becho\s{1,4}(-n\s{1,4}|-e\s{1,4})?["']?[A-Za-z0-9+\/]{64}[A-Za-z0-9+\/=\s]{0,2000}["']?\s{0,4}\|\s{0,4}(openssl\s{1,4})?base64\s{1,4}(-d|-D|--decode)\s{0,4}\|\s{0,4}(sudo\s{1,4}|nohup\s{1,4})?(\/bin\/)?(ba|da|z)?sh\b/
    $here = /\b(ba|da|z)?sh\s{1,4}(-c\s{1,4})?["']?(<<<\s{0,2})?["']?\$\(\s{0,2}echo\s{1,4}["']?[A-Za-z0-9+\/]{64}[A-Za-z0-9+\/=]{0,2000}["']?\s{0,4}\|\s{0,4}base64\s{1,4}(-d|-D|--decode)/
  condition:
    filesize < 256KB and any of them
}

rule shell_removes_defences
{
  meta:
    id = "BKL-DRP-1005"
    threat_name = "Dropper.Shell.Disarms"
    category = "dropper"
    severity = "high"
    confidence = "high"
    description = "A script that turns off several protections of a Linux server and then fetches a program"
    reference = "https://attack.mitre.org/techniques/T1562/001/"
    false_positives = "none known"
  strings:
    $off_1 = /\bsetenforce\s{1,4}(0|Permissive)\b|SELINUX=disabled/
    $off_2 = /\bufw\s{1,4}disable\b|\biptables\s{1,4}-F\b|systemctl\s{1,4}(stop|disable)\s{1,4}firewalld/
    $off_3 = /(aliyun[-.]?service|aliyundun|aegis_quartz|AliYunDun|uninstall\.sh\s{1,4}aegis|aegis\/aegis_client)/
    $off_4 = /(qcloud\/(stargate|YunJing|monitor)|YDService|YDLive|tat_agent|barad_agent)/
    $off_5 = /\b(systemctl|service|pkill|killall)\b[^\n]{1,60}\b(falcon-sensor|mdatp|wdavdaemon|clamav-daemon|clamd|auditd|sysmon|osqueryd|apparmor|rsyslog)\b/
    $off_6 = /(\bunset\s{1,4}HISTFILE\b|HISTFILE=\/dev\/null|\bhistory\s{1,4}-c\b|HISTSIZE=0\b)/
    $off_7 = /\bchattr\s{1,4}-[a-z]{0,4}[ia][a-z]{0,4}\s{1,4}\/(etc|root|usr|var|tmp)/
    $fetch = /\b(curl|wget)\b[^\n]{0,200}(https?:|\$\w)/
    $executable = /chmod\s{1,4}(\+x|[ua]\+x|0?7[0-7]{2})\b/
  condition:
    filesize < 256KB and $fetch and $executable and 3 of ($off_*)
}
