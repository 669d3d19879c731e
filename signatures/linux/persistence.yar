/* Shell scripts that make something from the network come back. Small files only: manuals quote such lines. */

rule preload_file_written
{
  meta:
    id = "BKL-LNX-0001"
    threat_name = "Persistence.Linux.Preload"
    category = "persistence"
    severity = "high"
    confidence = "high"
    description = "A script that has every program load a library which it fetched or put into a temporary or hidden place"
    reference = "https://attack.mitre.org/techniques/T1574/006/"
    false_positives = "none known: memory allocators and snoop loggers are installed into library folders"
  strings:
    $write = /(>{1,2}|\btee\s{1,4}(-a\s{1,4})?)\s{0,4}["']?\/etc\/ld\.so\.preload\b/
    $place = /\/(tmp|var\/tmp|dev\/shm)\/[^\s;|&'"]{0,60}\.so\b[^\n]{0,60}ld\.so\.preload|\/\.[\w-]{1,40}\.so\b[^\n]{0,60}ld\.so\.preload/
    $fetch = /\b(curl|wget)\s[^\n]{0,200}https?:\/\/[^\n]{1,200}\.so\b/
    $compile = /\b(gcc|cc)\s[^\n]{0,120}-shared\b[^\n]{0,120}-ldl\b/
    $lock = /\bchattr\s{1,4}\+[ia]{1,3}\s[^\n]{0,60}ld\.so\.preload/
  condition:
    filesize < 128KB and $write and any of ($place, $fetch, $compile, $lock)
}

rule schedule_runs_download
{
  meta:
    id = "BKL-LNX-0002"
    threat_name = "Persistence.Linux.Cron"
    category = "persistence"
    severity = "high"
    confidence = "high"
    description = "A script or table that has cron run a text from the network every few minutes or hours"
    reference = "https://attack.mitre.org/techniques/T1053/003/"
    false_positives = "installers that keep themselves up to date this way"
  strings:
    $line = /(\*|\*\/\d{1,2}|@(reboot|hourly|daily))\s[^\n]{0,80}\b(curl|wget)\s[^\n]{0,200}\|\s{0,4}(\/bin\/)?(ba|da)?sh\b/
    $table = /(\bcrontab\s{1,4}-|\/var\/spool\/cron\b|\/etc\/cron|\/etc\/anacrontab\b|(^|\n)(SHELL|PATH|MAILTO)=)/
  condition:
    filesize < 128KB and all of them
}

rule service_runs_download
{
  meta:
    id = "BKL-LNX-0003"
    threat_name = "Persistence.Linux.Systemd"
    category = "persistence"
    severity = "high"
    confidence = "high"
    description = "A systemd unit that runs a text from the network or a program out of shared memory or a hidden temporary file"
    reference = "https://attack.mitre.org/techniques/T1543/002/"
    false_positives = "none known"
  strings:
    $section = "[Service]"
    $download = /\nExecStart(Pre|Post)?=[^\n]{0,80}\b(curl|wget)\s[^\n]{0,200}\|\s{0,4}(\/bin\/)?(ba|da)?sh\b/
    $volatile = /\nExecStart(Pre|Post)?=[-@+!]{0,3}(\/bin\/(ba)?sh\s{1,4}(-c\s{1,4})?["']?)?\/(dev\/shm\/|(var\/)?tmp\/\.)/
    $connection = /\nExecStart(Pre|Post)?=[^\n]{0,80}\/dev\/(tcp|udp)\/[0-9a-z]/
  condition:
    filesize < 128KB and $section and any of ($download, $volatile, $connection)
}

rule start_file_runs_download
{
  meta:
    id = "BKL-LNX-0004"
    threat_name = "Persistence.Linux.StartFile"
    category = "persistence"
    severity = "high"
    confidence = "high"
    description = "A script that appends a download which is executed to a file that runs at each start or sign-in"
    reference = "https://attack.mitre.org/techniques/T1546/004/"
    false_positives = "installers of shells' plug-in loaders that fetch themselves anew each time"
  strings:
    $append = /\b(echo|printf)\s[^\n]{0,80}\b(curl|wget)\s[^\n]{0,200}\|\s{0,4}(\/bin\/)?(ba|da)?sh\b[^\n]{0,40}>{1,2}\s{0,4}["']?[^\n]{0,40}(\.bashrc|\.bash_profile|\.bash_login|\.profile|\.zshrc|\/etc\/profile|\/etc\/bash\.bashrc|rc\.local|\/etc\/init\.d\/|update-motd\.d)/
    $connect = /\b(echo|printf)\s[^\n]{0,120}\/dev\/tcp\/[^\n]{0,80}>{1,2}\s{0,4}["']?[^\n]{0,40}(\.bashrc|\.bash_profile|\.profile|\.zshrc|\/etc\/profile|\/etc\/bash\.bashrc|rc\.local|\/etc\/init\.d\/|update-motd\.d)/
  condition:
    filesize < 128KB and any of them
}

rule key_added_by_intruder
{
  meta:
    id = "BKL-LNX-0005"
    threat_name = "Persistence.Linux.AuthorizedKeys"
    category = "persistence"
    severity = "high"
    confidence = "medium"
    description = "A script that lets a key in and, at the same time, hides, locks it or turns other software off"
    reference = "https://attack.mitre.org/techniques/T1098/004/"
    false_positives = "hardening scripts that lock the file they wrote"
  strings:
    $key = /\b(echo|printf)\s[^\n]{0,40}ssh-(rsa|ed25519|dss)\s{1,2}AAAA[A-Za-z0-9+\/=]{60,1200}[^\n]{0,120}>{1,2}\s{0,4}[^\n]{0,60}authorized_keys/
    $lock = /\bchattr\s[^\n]{0,40}[-+][iaR]{1,4}\s[^\n]{0,60}(\.ssh|authorized_keys)/
    $history = /(\bunset\s{1,4}HISTFILE\b|\bHISTSIZE=0\b|\bhistory\s{1,2}-c\b|HISTFILE=\/dev\/null)/
    $run = /\b(curl|wget)\s[^\n]{0,200}\|\s{0,4}(sudo\s{1,4}(-E\s)?)?(\/bin\/|\/usr\/bin\/)?(env\s)?(ba|da|z|k)?sh\b/
    $flush = /\biptables\s{1,4}-F\b/
    $competitors = /\b(pkill|killall)\s{1,4}[^\n]{0,20}(kinsing|kdevtmpfsi|xmrig|minerd|watchbog|ddgs)\b/
  condition:
    filesize < 128KB and $key and 2 of ($lock, $history, $run, $flush, $competitors)
}

rule device_rule_runs_payload
{
  meta:
    id = "BKL-LNX-0006"
    threat_name = "Persistence.Linux.Udev"
    category = "persistence"
    severity = "high"
    confidence = "high"
    description = "A device rule that runs a download, a connection or a file in a temporary folder"
    reference = "https://attack.mitre.org/techniques/T1546/017/"
    false_positives = "none known"
  strings:
    $match = /\b(SUBSYSTEM|ACTION|KERNEL|ENV\{[A-Z_]{1,30}\})==/
    $run = /\bRUN(\{program\})?\+?=\s{0,2}"[^"\n]{0,120}(\b(curl|wget)\s[^"\n]{0,120}https?:|\/dev\/(tcp|shm)\/|\bbase64\s{1,2}-d|\b(nc|ncat)\s{1,2}-)|\bRUN(\{program\})?\+?=\s{0,2}"(\/bin\/(ba)?sh\s{1,4}(-c\s{1,4}'?)?)?\/(var\/)?tmp\//
  condition:
    filesize < 64KB and all of them
}

rule login_module_takes_any_password
{
  meta:
    id = "BKL-LNX-0007"
    threat_name = "Persistence.Linux.PAM"
    category = "persistence"
    severity = "high"
    confidence = "medium"
    description = "A script that rewrites the sign-in rules so that any password is enough, or each one is handed to a hidden program"
    reference = "https://attack.mitre.org/techniques/T1556/003/"
    false_positives = "notes of penetration testers"
  strings:
    $permit = /\b(sed|echo|printf)\s[^\n]{0,120}auth\s{1,8}sufficient\s{1,8}pam_permit\.so[^\n]{0,120}\/etc\/pam\.d\/(sshd|su|sudo|login|common-auth|system-auth|password-auth)\b/
    $handed = /auth\s{1,8}(optional|sufficient|required)\s{1,8}pam_exec\.so\s[^\n]{0,60}expose_authtok\s[^\n]{0,40}(\/(var\/)?tmp\/|\/dev\/shm\/|\/[\w\/]{0,60}\/\.\w)/
  condition:
    filesize < 64KB and any of them
}

rule login_module_with_fixed_password
{
  meta:
    id = "BKL-LNX-0008"
    threat_name = "Backdoor.Linux.PAM"
    category = "backdoor"
    severity = "high"
    confidence = "medium"
    description = "Source of a sign-in module that accepts one fixed password or writes passwords to a hidden file"
    reference = "https://attack.mitre.org/techniques/T1556/003/"
    false_positives = "teaching examples with a fixed password"
  strings:
    $entry = /\bpam_sm_authenticate\s{0,4}\(/
    $token = /(pam_get_authtok|pam_get_item|PAM_AUTHTOK|unix_verify_password)\b/
    $fixed = /\bstrn?cmp\s{0,4}\(\s{0,4}(p|password|passwd|pass|pw|authtok)\s{0,4},\s{0,4}"[^"\n]{3,64}"/
    $log = /\bfopen\s{0,4}\(\s{0,4}"(\/(var\/)?tmp\/|\/dev\/shm\/|\/[\w\/]{0,60}\/\.\w)[^"\n]{0,80}"\s{0,4},\s{0,4}"a/
  condition:
    filesize < 512KB and $entry and $token and ($fixed or $log)
}

rule account_with_rights_of_root
{
  meta:
    id = "BKL-LNX-0009"
    threat_name = "Persistence.Linux.Account"
    category = "persistence"
    severity = "medium"
    confidence = "high"
    description = "A script that makes a second account with the number of root and gives it a password"
    reference = "https://attack.mitre.org/techniques/T1136/001/"
    false_positives = "none known: administrators use sudo"
  strings:
    $create = /\buseradd\s[^\n]{0,80}(-o\s{1,4}-u\s{0,4}0\b|-u\s{0,4}0\s{1,4}-o\b|-ou\s{0,4}0\b|--non-unique\s[^\n]{0,20}(-u|--uid)[= ]0\b)/
    $line = /\b(echo|printf)\s[^\n]{0,10}["'][a-z_][a-z0-9_-]{0,30}:[^:\n]{0,120}:0:0:[^\n]{0,80}>>\s{0,4}["']?\/etc\/passwd\b/
    $password = /(\bchpasswd\b|\bopenssl\s{1,4}passwd\b|\bpasswd\s{1,4}--stdin\b|\/etc\/shadow\b|\suseradd\s[^\n]{0,80}-p\s)/
  condition:
    filesize < 64KB and $password and any of ($create, $line)
}

rule sudo_right_for_intruder
{
  meta:
    id = "BKL-LNX-0010"
    threat_name = "Persistence.Linux.Sudo"
    category = "persistence"
    severity = "medium"
    confidence = "medium"
    description = "A script that gives a service's account all rights without a password"
    reference = "https://attack.mitre.org/techniques/T1548/003/"
    false_positives = "images for development that open everything on purpose"
  strings:
    $append = /\b(echo|printf)\s[^\n]{0,10}["']?\s{0,4}(www-data|nobody|daemon|apache|nginx|mysql|postgres|redis|tomcat|mail|games|lp|sync|ftp)\s{1,8}ALL\s{0,4}=\s{0,4}\(?(ALL|root)(\s{0,2}:\s{0,2}ALL)?\)?\s{0,4}NOPASSWD\s{0,2}:\s{0,4}ALL[^\n]{0,20}(>{1,2}|\|\s{0,4}(sudo\s{1,4})?tee\s)[^\n]{0,20}\/etc\/sudoers/
  condition:
    filesize < 64KB and $append
}

rule shell_with_owner_rights
{
  meta:
    id = "BKL-LNX-0011"
    threat_name = "Backdoor.Linux.Setuid"
    category = "backdoor"
    severity = "high"
    confidence = "medium"
    description = "A script that leaves a copy of a shell with the rights of root in a temporary or hidden place"
    reference = "https://attack.mitre.org/techniques/T1548/001/"
    false_positives = "exercises in privilege escalation"
  strings:
    $line = /\bcp\s{1,4}(-\w{1,6}\s{1,4})?\/(usr\/)?bin\/(ba|da|z|k)?sh\s{1,4}(\/(var\/)?tmp\/|\/dev\/shm\/|\/[\w\/]{0,60}\/\.\w)[^\n;&|]{1,60}(;|&&|\n)[^\n]{0,60}\b(chmod|busybox chmod)\s{1,4}([0-7]{0,1}[4-7][0-7]{3}|[ug]{0,2}\+[rwx]{0,3}s[rwx]{0,3})\s/
  condition:
    filesize < 64KB and $line
}

rule ssh_server_under_other_name
{
  meta:
    id = "BKL-LNX-0012"
    threat_name = "Backdoor.Linux.SSH"
    category = "backdoor"
    severity = "high"
    confidence = "high"
    description = "A command that starts the SSH server under the name of a program whose sign-in rules let anybody in"
    reference = "https://attack.mitre.org/techniques/T1556/003/"
    false_positives = "notes of penetration testers"
  strings:
    $line = /\bln\s{1,4}-sf?\s{1,4}\/usr\/sbin\/sshd\s{1,4}(\/[\w.\/-]{1,60}\/)(su|chsh|chfn|runuser)\b[^\n]{0,40}[;&\n][^\n]{0,80}\/(su|chsh|chfn|runuser)\s{1,4}-o\s{0,2}Port=?\s{0,2}\d{2,5}/ nocase
  condition:
    filesize < 64KB and $line
}
