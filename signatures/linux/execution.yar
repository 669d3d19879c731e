/* Shell scripts that run what they fetch in places that leave no trace, or take a machine over. */

rule run_from_shared_memory
{
  meta:
    id = "BKL-LNX-0013"
    threat_name = "Dropper.Linux.SharedMemory"
    category = "dropper"
    severity = "high"
    confidence = "high"
    description = "A script that downloads a file into shared memory, makes it executable and starts it"
    reference = "https://attack.mitre.org/techniques/T1620/"
    false_positives = "none known: honest software is not kept in shared memory"
  strings:
    $fetch = /\b(curl|wget|tftp|ftpget)\s[^\n]{0,200}\/dev\/shm\/[^\s;|&]{1,60}/
    $inside = /\bcd\s{1,4}\/dev\/shm\b[^\n]{0,40}[;&|\n][^\n]{0,120}\b(curl|wget|tftp|ftpget)\s/
    $executable = /\bchmod\s{1,4}(\+x|a\+x|u\+x|[0-7]{0,1}7[0-7]{2})\s/
    $start = /([;&\n]\s{0,8}|\b(nohup|setsid|bash|sh|exec)\s{1,4})(\/dev\/shm\/|\.\/)[\w.][^\n]{0,80}/
  condition:
    filesize < 128KB and ($fetch or $inside) and $executable and $start
}

rule run_from_memory_file
{
  meta:
    id = "BKL-LNX-0014"
    threat_name = "Loader.Linux.Memory"
    category = "loader"
    severity = "high"
    confidence = "high"
    description = "A script that makes a file without a name in memory, fills it with a download or decoded bytes and executes it"
    reference = "https://attack.mitre.org/techniques/T1620/"
    false_positives = "none known"
  strings:
    $python = /(libc|ctypes|CDLL)[^\n]{0,80}(\.memfd_create\s{0,2}\(|\.syscall\s{0,2}\(\s{0,2}(319|385|279)\s{0,2},)|\bos\.memfd_create\s{0,2}\(/
    $perl = /\bsyscall\s{0,2}\(?\s{0,2}(319|385|279)\s{0,2},/
    $run = /(exec[lv]p?e?\s{0,2}\(?|\bexec\s{0,2}\{?|subprocess\.\w{2,12}\s{0,2}\(|os\.system\s{0,2}\()[^\n]{0,80}\/proc\/(self|\$\$|%[ds]|\{[^}\n]{0,20}\}|["'][^\n]{0,30})[^\n]{0,20}\/?fd\/?/
    $payload = /(urlopen\s{0,2}\(|requests\.get\s{0,2}\(|b64decode\s{0,2}\(|decode_base64\s{0,2}\(|zlib\.decompress\s{0,2}\(|pack\s{0,2}\(?\s{0,2}["']H\*|IO::Socket|LWP::|fromhex\s{0,2}\()/
  condition:
    filesize < 128KB and ($python or $perl) and $run and $payload
}

rule rivals_removed_and_download_run
{
  meta:
    id = "BKL-LNX-0015"
    threat_name = "Dropper.Linux.Takeover"
    category = "dropper"
    severity = "high"
    confidence = "high"
    description = "A script that opens the firewall, kills the programs of other intruders and runs its own from the network"
    reference = "https://attack.mitre.org/techniques/T1562/004/"
    false_positives = "none known"
  strings:
    $flush = /\b(iptables\s{1,4}-F|ufw\s{1,4}disable|systemctl\s{1,4}(stop|disable)\s[^\n]{0,20}(firewalld|iptables|apparmor)|setenforce\s{1,4}0)\b/
    $kill = /\b(pkill|killall|kill\s{1,2}-9|grep)\s[^\n]{0,40}\b(kinsing|kdevtmpfsi|kthreaddk|xmrig|minerd|watchbog|ddgs|sysrv\w{0,4}|watchdogs|sustes|xmr-stak|cryptonight|dbused|pnscan|solrd|kswapd0)\b/
    $fetch = /\b(curl|wget)\s[^\n]{0,200}https?:\/\//
    $executable = /\bchmod\s{1,4}(\+x|[0-7]{0,1}7[0-7]{2})\s/
    $run = /\b(curl|wget)\s[^\n]{0,200}\|\s{0,4}(sudo\s{1,4}(-E\s)?)?(\/bin\/|\/usr\/bin\/)?(env\s)?(ba|da|z|k)?sh\b/
  condition:
    filesize < 128KB and $flush and #kill > 1 and $fetch and ($executable or $run)
}

rule cloud_guards_removed
{
  meta:
    id = "BKL-LNX-0016"
    threat_name = "Evasion.Linux.CloudAgents"
    category = "evasion"
    severity = "high"
    confidence = "high"
    description = "A script that removes the security agents which cloud providers install"
    reference = "https://attack.mitre.org/techniques/T1562/001/"
    false_positives = "clean-up scripts for images moved from one provider to another"
  strings:
    $aliyun = /(quartz_uninstall\.sh|\/usr\/local\/aegis\b|aliyun\.one|\bAliYunDun\w{0,12}\b|aliyun-service)/
    $tencent = /\/usr\/local\/qcloud\/(stargate|YunJing|monitor\/barad)[^\n]{0,40}(uninst|uninstall)|\bYunJing\b|\/stargate\/admin\/uninstall\.sh/
    $cloudmonitor = /(cloudmonitor(Ctl)?\.sh|CmsGoAgent|wrapper\s{1,4}remove)/
    $remove = /\b(rm\s{1,4}-[rf]{1,3}|uninst\w{0,8}|pkill|killall|kill\s{1,2}-9|stop|remove)\b/
    $fetch = /\b(curl|wget)\s[^\n]{0,200}https?:\/\/[^\n]{1,160}(\.sh\b|-o\s|-O\s|\|)/
  condition:
    filesize < 128KB and $remove and $fetch and 2 of ($aliyun, $tencent, $cloudmonitor)
}

rule container_host_taken_over
{
  meta:
    id = "BKL-LNX-0017"
    threat_name = "Worm.Linux.Docker"
    category = "worm"
    severity = "high"
    confidence = "high"
    description = "A script that has an open container service start a container with the host's disk and run a download on the host"
    reference = "https://attack.mitre.org/techniques/T1610/"
    false_positives = "exercises in container security"
  strings:
    $remote = /\bdocker\s{1,4}(-H|--host)[= ]{1,2}(tcp:\/\/)?[^\n]{1,80}\srun\b/
    $socket = /(\/containers\/create\b|--unix-socket\s{1,4}\/var\/run\/docker\.sock)/
    $mount = /(-v\s{1,4}\/:\/\w{1,12}\b|"Binds"\s{0,4}:\s{0,4}\[\s{0,4}"\/:\/|\bBinds\b[^\n]{0,20}"\/:\/)/
    $root = /\bchroot\s{1,4}\/\w{1,12}\b|"chroot"/
    $run = /\b(curl|wget)\s[^\n]{0,200}\|\s{0,4}(sudo\s{1,4}(-E\s)?)?(\/bin\/|\/usr\/bin\/)?(env\s)?(ba|da|z|k)?sh\b/
  condition:
    filesize < 128KB and ($remote or $socket) and $mount and $root and $run
}

rule data_store_writes_schedule
{
  meta:
    id = "BKL-LNX-0018"
    threat_name = "Worm.Linux.Redis"
    category = "worm"
    severity = "high"
    confidence = "high"
    description = "Commands that make an open Redis write a table for cron or a key for SSH"
    reference = "https://attack.mitre.org/techniques/T1053/003/"
    false_positives = "exercises on servers without a password"
  strings:
    $folder = /\bconfig\s{1,4}set\s{1,4}dir\s{1,4}["']?(\/var\/spool\/cron|\/etc\/cron\.d|\/root\/\.ssh|\/home\/\w{1,32}\/\.ssh)/ nocase
    $file = /\bconfig\s{1,4}set\s{1,4}dbfilename\s{1,4}["']?(root|crontab|authorized_keys|zzh|apache|\w{1,16})\b/ nocase
    $payload = /(\*\s{1,4}\*[^\n]{0,80}\b(curl|wget)\s|ssh-(rsa|ed25519)\s|flushall\b)/ nocase
  condition:
    filesize < 128KB and all of them
}

rule traces_wiped_after_download
{
  meta:
    id = "BKL-LNX-0019"
    threat_name = "Evasion.Linux.Logs"
    category = "evasion"
    severity = "medium"
    confidence = "medium"
    description = "A script that runs a download, empties the records of sign-ins and forgets its own history"
    reference = "https://attack.mitre.org/techniques/T1070/002/"
    false_positives = "scripts that install a machine from the network and then make an image of it"
  strings:
    $wtmp = /((>|cp\s{1,4}\/dev\/null|rm\s{1,4}-[rf]{1,2}|shred\s[^\n]{0,20}|truncate\s[^\n]{0,20})\s{0,4}\/var\/log\/(wtmp|btmp|lastlog))\b/
    $secure = /((>|cp\s{1,4}\/dev\/null|rm\s{1,4}-[rf]{1,2}|shred\s[^\n]{0,20}|truncate\s[^\n]{0,20})\s{0,4}\/var\/log\/(secure|auth\.log|messages|syslog|cron))\b/
    $history = /(\bunset\s{1,4}HISTFILE\b|\bHISTSIZE=0\b|\bhistory\s{1,2}-c\b|HISTFILE=\/dev\/null|(>|rm\s{1,4}-[rf]{1,2})\s{0,4}[^\s]{0,20}\.bash_history)/
    $mail = />\s{0,4}\/var\/spool\/mail\/root\b/
    $run = /\b(curl|wget)\s[^\n]{0,200}\|\s{0,4}(sudo\s{1,4}(-E\s)?)?(\/bin\/|\/usr\/bin\/)?(env\s)?(ba|da|z|k)?sh\b/
    $background = /\b(nohup|setsid)\s[^\n]{0,120}>\s{0,2}\/dev\/null/
    $hidden = /\/(var\/tmp|tmp|dev\/shm)\/\.\w/
  condition:
    filesize < 128KB and $wtmp and $secure and ($history or $mail) and $run and ($background or $hidden)
}
