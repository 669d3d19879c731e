/* Shells that call home through programs every system has. */

rule reverse_shell_netcat_exec
{
  meta:
    id = "BKL-SCR-1012"
    threat_name = "ReverseShell.Netcat.Exec"
    category = "reverse_shell"
    severity = "high"
    confidence = "medium"
    description = "A script that has netcat start a shell on a connection it opens"
    reference = "https://attack.mitre.org/techniques/T1059/004/"
    false_positives = "notes of penetration testers"
  strings:
    $before = /\b(nc|ncat|netcat)(\.traditional|\.openbsd|\.exe)?\s{1,4}-[a-z]{0,4}[ec]\s{1,4}['"]?((\/usr)?\/bin\/(ba|z|da)?sh|sh|bash|cmd(\.exe)?|powershell(\.exe)?)(\s{1,2}-i)?['"]?\s{1,4}(([0-9]{1,3}\.){3}[0-9]{1,3}|[a-z0-9-]{1,60}\.[a-z0-9.-]{2,60}|\$\w{1,16})\s{1,4}(\$\w{1,16}|[0-9]{2,5})\b/ nocase
    $after = /\b(nc|ncat|netcat)(\.traditional|\.openbsd|\.exe)?\s{1,4}(([0-9]{1,3}\.){3}[0-9]{1,3}|[a-z0-9-]{1,60}\.[a-z0-9.-]{2,60}|\$\w{1,16})\s{1,4}(\$\w{1,16}|[0-9]{2,5})\s{1,4}-[a-z]{0,4}[ec]\s{1,4}['"]?((\/usr)?\/bin\/(ba|z|da)?sh|sh|bash|cmd(\.exe)?|powershell(\.exe)?)\b/ nocase
  condition:
    filesize < 16KB and any of them
}

rule reverse_shell_socat
{
  meta:
    id = "BKL-SCR-1013"
    threat_name = "ReverseShell.Socat"
    category = "reverse_shell"
    severity = "high"
    confidence = "high"
    description = "A script that has socat connect an interactive shell with its own terminal to another host"
    reference = "https://attack.mitre.org/techniques/T1059/004/"
    false_positives = "notes of penetration testers"
  strings:
    $first = /\bsocat\b[^\n]{0,60}\bexec:\s{0,2}["']{0,3}(\/usr)?(\/bin\/)?(ba|z|da)?sh\b[^\n]{0,60}\bpty\b[^\n]{0,80}\s(tcp[46]?|tcp[46]?-connect|openssl|openssl-connect):/ nocase
    $second = /\bsocat\b[^\n]{0,40}\s(tcp[46]?|tcp[46]?-connect|openssl|openssl-connect):[^\s]{3,120}\s{1,4}exec:\s{0,2}["']{0,3}(\/usr)?(\/bin\/)?(ba|z|da)?sh\b[^\n]{0,60}\bpty\b/ nocase
  condition:
    filesize < 32KB and any of them
}

rule reverse_shell_telnet
{
  meta:
    id = "BKL-SCR-1014"
    threat_name = "ReverseShell.Telnet"
    category = "reverse_shell"
    severity = "high"
    confidence = "high"
    description = "A shell between two telnet connections, or between telnet and a named pipe"
    reference = "https://attack.mitre.org/techniques/T1059/004/"
    false_positives = "notes of penetration testers"
  strings:
    $two = /\btelnet\s{1,4}[^\s|]{1,120}\s{1,4}[^\s|]{1,12}\s{0,4}\|\s{0,4}(\/bin\/)?(ba|z|da)?sh\b[^\n|]{0,20}\|\s{0,4}telnet\s/
    $pipe = /\b(mkfifo|mknod)\s{1,4}[^\s;&]{1,80}[^\n]{0,20}[;&]{1,2}\s{0,4}telnet\s{1,4}[^\n|]{1,140}\|\s{0,4}(\/bin\/)?(ba|z|da)?sh\b/
  condition:
    filesize < 32KB and any of them
}

rule reverse_shell_openssl
{
  meta:
    id = "BKL-SCR-1015"
    threat_name = "ReverseShell.OpenSSL"
    category = "reverse_shell"
    severity = "high"
    confidence = "high"
    description = "A shell wired to the encrypted client of openssl through a named pipe"
    reference = "https://attack.mitre.org/techniques/T1573/002/"
    false_positives = "notes of penetration testers"
  strings:
    $pipe = /\b(mkfifo|mknod)\s/
    $flow = /\b(ba|z|da)?sh\s{1,4}-i\b[^\n|]{0,40}\|\s{0,4}openssl\s{1,4}s_client\b[^\n]{0,80}-connect\s/
  condition:
    filesize < 32KB and all of them
}

rule reverse_shell_encoded
{
  meta:
    id = "BKL-SCR-1016"
    threat_name = "ReverseShell.Encoded"
    category = "reverse_shell"
    severity = "high"
    confidence = "high"
    description = "A script that carries a shell on a network connection in Base64 and decodes it"
    reference = "https://attack.mitre.org/techniques/T1027/010/"
    false_positives = "none known below 256 KB"
  strings:
    $bash_1 = "bash -i >& /dev/tcp/" base64 base64wide
    $bash_2 = "sh -i >& /dev/tcp/" base64 base64wide
    $bash_3 = "bash -i > /dev/tcp/" base64 base64wide
    $decode = /(base64\s{1,4}(-d|--decode|-D)\b|b64decode\s{0,2}\(|base64_decode\s{0,2}\(|FromBase64String|decode64|Buffer\.from\s{0,2}\(|\{base64,-d\})/ nocase
  condition:
    filesize < 256KB and $decode and any of ($bash_*)
}

rule reverse_shell_fetches_terminal
{
  meta:
    id = "BKL-SCR-1017"
    threat_name = "ReverseShell.SharedTerminal"
    category = "reverse_shell"
    severity = "medium"
    confidence = "medium"
    description = "A script that shares a terminal of the machine through a public relay, in the background and without a word"
    reference = "https://attack.mitre.org/techniques/T1219/"
    false_positives = "unattended remote help set up by the owner"
  strings:
    $tmate = /\btmate\s{1,4}[^\n]{0,40}-S\s{1,4}[^\n]{1,80}new-session\s{1,4}-d\b/
    $gsocket = /\bGS_(ARGS|SECRET)=[^\n]{1,120}(gs-netcat|defunct)\b/
    $link = /(tmate_ssh|tmate_web|gsocket\.io|\bs\s{0,2}=\s{0,2}"\$\{?GS_)/
    $send = /\b(curl|wget)\b[^\n]{0,160}(https?:|\$\{?[A-Z_]{2,24})/
  condition:
    filesize < 64KB and ($tmate or $gsocket) and $link and $send
}

rule reverse_shell_dev_tcp_variants
{
  meta:
    id = "BKL-SCR-1018"
    threat_name = "ReverseShell.Bash.Variant"
    category = "reverse_shell"
    severity = "high"
    confidence = "high"
    description = "A network connection of bash that is opened in both directions for a shell, or read line by line and run"
    reference = "https://attack.mitre.org/techniques/T1059/004/"
    false_positives = "notes of penetration testers"
  strings:
    $both_ways = /\b(ba|z|da|k)?sh\s{1,4}-[il]{1,2}\s{1,4}[0-9]{0,3}<>\s{0,4}\/dev\/(tcp|udp)\/[A-Za-z0-9.:_$\{\}-]{1,253}\/[0-9$]/
    $login = /\b(ba|z|da|k)?sh\s{1,4}-l\s{1,4}>\s{0,2}\/dev\/(tcp|udp)\/[A-Za-z0-9.:_$\{\}-]{1,253}\/[0-9$][0-9A-Za-z_\{\}]{0,12}\s{1,4}0<&1/
    $open = /\bexec\s{1,4}[0-9]{1,3}<>\s{0,2}\/dev\/(tcp|udp)\/[A-Za-z0-9.:_$\{\}-]{1,253}\/[0-9$]/
    $line_by_line = /\bwhile\s{1,4}read\s{1,4}(-r\s{1,4})?\w{1,16}\b[^\n]{0,40}\bdo\s{1,4}(eval\s{1,4}["']?)?\$\{?\w{1,16}\}?["']?\s[^\n]{0,20}>\s{0,2}&\s{0,2}[0-9]/
  condition:
    filesize < 64KB and ($both_ways or $login or ($open and $line_by_line))
}

rule reverse_shell_zsh
{
  meta:
    id = "BKL-SCR-1019"
    threat_name = "ReverseShell.Zsh"
    category = "reverse_shell"
    severity = "high"
    confidence = "high"
    description = "A script for zsh that connects with its network module and evaluates what it receives"
    reference = "https://attack.mitre.org/techniques/T1059/004/"
    false_positives = "notes of penetration testers"
  strings:
    $module = "zsh/net/tcp"
    $connect = /\bztcp\s{1,4}(-[a-z]\s{1,4}[^\s]{1,12}\s{1,4})?[A-Za-z0-9.:$-]{1,120}\s{1,4}[0-9$]/
    $run = /\bwhile\s{1,4}read\s[^\n]{1,80}\beval\b[^\n]{1,60}[<>]\s{0,2}&\s{0,2}\$\{?REPLY/
  condition:
    filesize < 64KB and all of them
}
