/* Shells that call home. Small files only: books and cheat sheets quote these lines among much else. */

rule reverse_shell_dev_tcp
{
  meta:
    id = "BKL-SCR-0001"
    threat_name = "ReverseShell.Bash"
    category = "reverse_shell"
    severity = "high"
    confidence = "high"
    description = "An interactive shell whose input and output are a network connection of bash"
    reference = "https://attack.mitre.org/techniques/T1059/004/"
    false_positives = "notes of penetration testers"
  strings:
    $interactive = /\b(ba|z|da|k)?sh\s{1,4}-i\s{0,4}[0-9&]{0,2}>\s{0,2}&?\s{0,4}\/dev\/(tcp|udp)\/[A-Za-z0-9.:_$\{\}-]{1,253}\/[0-9$][A-Za-z0-9_\{\}]{0,20}/
    $exec = /exec\s{1,4}[0-9]{1,3}<>\s{0,2}\/dev\/(tcp|udp)\/[A-Za-z0-9.:_$\{\}-]{1,253}\/[0-9$][A-Za-z0-9_\{\}]{0,20}[\s;]{1,8}[^\n]{0,80}\bsh\b/
  condition:
    filesize < 64KB and any of them
}

rule reverse_shell_netcat_pipe
{
  meta:
    id = "BKL-SCR-0002"
    threat_name = "ReverseShell.Netcat"
    category = "reverse_shell"
    severity = "high"
    confidence = "high"
    description = "A shell wired to netcat through a named pipe"
    reference = "https://attack.mitre.org/techniques/T1059/004/"
    false_positives = "notes of penetration testers"
  strings:
    $pipe = /mkfifo\s{1,4}\/[^\s;|&]{1,80}[\s;&]{1,8}[^\n]{0,80}\|\s{0,4}(\/bin\/)?(ba|z|da)?sh\s{1,4}-i\b[^\n|]{0,24}\|\s{0,4}(nc|ncat|netcat)\s/
  condition:
    filesize < 64KB and $pipe
}

rule reverse_shell_python
{
  meta:
    id = "BKL-SCR-0003"
    threat_name = "ReverseShell.Python"
    category = "reverse_shell"
    severity = "high"
    confidence = "high"
    description = "Python that connects out, puts the connection in place of its standard streams and starts a shell"
    reference = "https://attack.mitre.org/techniques/T1059/006/"
    false_positives = "none known below 64 KB"
  strings:
    $connect = /\.connect\(\s{0,4}\(/
    $streams = /os\.dup2\(\s{0,4}\w{1,32}\.fileno\(\)\s{0,4},\s{0,4}[012]\s{0,4}\)/
    $shell = /(pty\.spawn|subprocess\.(call|run|Popen)|os\.(system|execv?p?e?))\(\s{0,4}[\[\(]?\s{0,4}['"](\/bin\/)?(ba|z|da)?sh\b/
  condition:
    filesize < 64KB and $connect and #streams >= 2 and $shell
}

rule reverse_shell_perl
{
  meta:
    id = "BKL-SCR-0004"
    threat_name = "ReverseShell.Perl"
    category = "reverse_shell"
    severity = "high"
    confidence = "high"
    description = "Perl that connects out, reopens its standard streams on the socket and becomes a shell"
    reference = "https://attack.mitre.org/techniques/T1059/"
    false_positives = "none known below 64 KB"
  strings:
    $socket = /use\s{1,4}(IO::)?Socket\b/
    $streams = /open\(?\s{0,4}STD(IN|OUT|ERR)\s{0,4},\s{0,4}["'][<>+]{1,2}&/
    $shell = /(exec|system)\s{0,4}\(?\s{0,4}["'](\/bin\/)?(ba|z|da)?sh\s{1,4}-i/
  condition:
    filesize < 64KB and $socket and #streams >= 2 and $shell
}
