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
