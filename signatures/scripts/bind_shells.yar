/* Shells that wait for whoever connects. */

rule bind_shell_netcat
{
  meta:
    id = "BKL-SCR-1101"
    threat_name = "BindShell.Netcat"
    category = "bind_shell"
    severity = "high"
    confidence = "medium"
    description = "A script that has netcat listen and hand a shell to whoever connects"
    reference = "https://attack.mitre.org/techniques/T1059/004/"
    false_positives = "notes of penetration testers"
  strings:
    $exec = /\b(nc|ncat|netcat)(\.traditional|\.openbsd|\.exe)?\s{1,4}-[a-z]{0,6}l[a-z]{0,6}\s[^\n|;]{0,60}-[a-z]{0,4}[ec]\s{1,4}['"]?((\/usr)?\/bin\/(ba|z|da)?sh|sh|bash|cmd(\.exe)?|powershell(\.exe)?)\b/ nocase
    $pipe = /\bmkfifo\s{1,4}[^\s;&|]{1,80}[^\n]{1,60}\|\s{0,4}(\/bin\/)?(ba|z|da)?sh\b[^\n|]{0,24}\|\s{0,4}(nc|ncat|netcat)\s{1,4}-[a-z]{0,6}l/
  condition:
    filesize < 16KB and any of them
}

rule bind_shell_socat
{
  meta:
    id = "BKL-SCR-1102"
    threat_name = "BindShell.Socat"
    category = "bind_shell"
    severity = "high"
    confidence = "medium"
    description = "A script that has socat listen and start a shell with a terminal for whoever connects"
    reference = "https://attack.mitre.org/techniques/T1059/004/"
    false_positives = "notes of penetration testers"
  strings:
    $flow = /\bsocat\b[^\n]{0,40}\s(tcp[46]?|openssl)-l(isten)?:[0-9$][^\s]{0,80}\s{1,4}exec:\s{0,2}["']{0,3}(\/usr)?(\/bin\/)?(ba|z|da)?sh\b[^\n]{0,60}\b(pty|stderr)\b/ nocase
  condition:
    filesize < 32KB and $flow
}

rule bind_shell_python
{
  meta:
    id = "BKL-SCR-1103"
    threat_name = "BindShell.Python"
    category = "bind_shell"
    severity = "high"
    confidence = "high"
    description = "Python that listens, puts a connection in place of its standard streams and starts a shell"
    reference = "https://attack.mitre.org/techniques/T1059/006/"
    false_positives = "none known below 64 KB"
  strings:
    $bind = /\.bind\s{0,2}\(\s{0,2}\(/
    $accept = ".accept("
    $streams = /os\.dup2\s{0,2}\(\s{0,2}\w{1,32}\.fileno\s{0,2}\(\s{0,2}\)/
    $handed = /subprocess\.(Popen|call|run)\s{0,2}\(\s{0,2}\[?\s{0,2}['"](\/bin\/)?(ba|z|da)?sh['"][^\n]{0,60}stdin\s{0,2}=\s{0,2}\w{1,16}/
    $shell = /(pty\.spawn|subprocess\.(call|run|Popen)|os\.(system|execv?p?e?))\s{0,2}\(\s{0,2}[\[\(]?\s{0,2}['"](\/bin\/)?(ba|z|da)?sh\b/
  condition:
    filesize < 64KB and $bind and $accept and ($handed or (#streams >= 2 and $shell))
}

rule bind_shell_perl
{
  meta:
    id = "BKL-SCR-1104"
    threat_name = "BindShell.Perl"
    category = "bind_shell"
    severity = "high"
    confidence = "high"
    description = "Perl that listens, reopens its standard streams on a client and becomes a shell"
    reference = "https://attack.mitre.org/techniques/T1059/"
    false_positives = "none known below 64 KB"
  strings:
    $socket = /use\s{1,4}(IO::)?Socket\b/
    $listen = /(\blisten\s{0,2}\(|Listen\s{0,2}=>)/
    $accept = /(\baccept\s{0,2}\(|->\s{0,2}accept\b)/
    $streams = /open\s{0,2}\(?\s{0,2}STD(IN|OUT|ERR)\s{0,2},\s{0,2}["'][<>+]{1,2}&|STD(IN|OUT|ERR)->fdopen\s{0,2}\(/
    $shell = /\b(exec|system)\s{0,2}[\(\{]{0,2}\s{0,2}["'](\/bin\/)?(ba|z|da)?sh\b/
  condition:
    filesize < 64KB and $socket and $listen and $accept and #streams >= 2 and $shell
}

rule bind_shell_php
{
  meta:
    id = "BKL-SCR-1105"
    threat_name = "BindShell.PHP"
    category = "bind_shell"
    severity = "high"
    confidence = "high"
    description = "PHP that listens for connections and runs each line it reads as a command"
    reference = "https://attack.mitre.org/techniques/T1059/"
    false_positives = "none known below 64 KB"
  strings:
    $php = /<\?(php|=)/ nocase
    $listen = /\b(socket_create_listen|socket_listen|stream_socket_server)\s{0,4}\(/
    $accept = /\b(socket_accept|stream_socket_accept)\s{0,4}\(/
    $read = /\$\w{1,16}\s{0,2}=\s{0,2}(trim\s{0,2}\(\s{0,2})?(socket_read|fgets|fread)\s{0,2}\(/
    $run = /\b(shell_exec|passthru|system|popen|exec)\s{0,2}\(\s{0,2}\$(\w{1,4}|cmd|command|input|line|data|buf|buffer)\s{0,2}[,\)]/
  condition:
    filesize < 64KB and all of them
}

rule bind_shell_ruby_or_node
{
  meta:
    id = "BKL-SCR-1106"
    threat_name = "BindShell.Server"
    category = "bind_shell"
    severity = "high"
    confidence = "high"
    description = "Ruby or JavaScript that listens and wires a shell to whoever connects"
    reference = "https://attack.mitre.org/techniques/T1059/"
    false_positives = "none known below 64 KB"
  strings:
    $ruby_listen = /TCPServer\.(new|open)\s{0,2}\(?/
    $ruby_shell = /\b(exec|spawn|system)\s{0,2}\(?\s{0,2}(sprintf\s{0,2}\(?)?\s{0,2}['"](\/bin\/)?(ba|z)?sh\s{1,2}-i\s{0,2}<&/
    $node_listen = /\bnet\.createServer\s{0,2}\(/
    $node_shell = /\bspawn\s{0,2}\(\s{0,2}['"`](\/bin\/)?((ba|z|da)?sh|cmd(\.exe)?)['"`]/
    $node_pipe = /\.pipe\s{0,2}\(\s{0,2}\w{1,32}\.stdin\s{0,2}\)/
  condition:
    filesize < 64KB and (($ruby_listen and $ruby_shell) or ($node_listen and $node_shell and $node_pipe))
}
