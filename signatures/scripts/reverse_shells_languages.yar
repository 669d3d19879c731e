/* Shells that call home, in further languages. Small files only, as books and cheat sheets quote these lines. */

rule reverse_shell_php
{
  meta:
    id = "BKL-SCR-1001"
    threat_name = "ReverseShell.PHP"
    category = "reverse_shell"
    severity = "high"
    confidence = "high"
    description = "PHP that opens a connection and wires an interactive shell to it"
    reference = "https://attack.mitre.org/techniques/T1059/004/"
    false_positives = "none known below 64 KB"
  strings:
    $connect = /\b(fsockopen|stream_socket_client|socket_connect)\s{0,4}\(/
    $direct = /\b(exec|shell_exec|system|passthru|popen|proc_open)\s{0,4}\(\s{0,4}["'](\/usr)?(\/bin\/)?(ba|z|da|k)?sh\s{1,4}-i\b/
    $shell = /=\s{0,4}["'][^"'\n]{0,60}(\/bin\/)?(ba|z|da|k)?sh\s{1,4}-i['"]/
    $pipes = /\bproc_open\s{0,4}\(\s{0,4}\$\w{1,32}\s{0,4},/
    $copy = /\b(stream_select|stream_set_blocking)\s{0,4}\(/
  condition:
    filesize < 64KB and $connect and ($direct or ($shell and $pipes and $copy))
}

rule reverse_shell_ruby
{
  meta:
    id = "BKL-SCR-1002"
    threat_name = "ReverseShell.Ruby"
    category = "reverse_shell"
    severity = "high"
    confidence = "high"
    description = "Ruby that connects out and runs what it is sent, or becomes a shell on the socket"
    reference = "https://attack.mitre.org/techniques/T1059/"
    false_positives = "none known below 64 KB"
  strings:
    $connect = /TCPSocket\.(new|open)\s{0,2}\(?\s{0,2}['"\w]/
    $become = /\b(exec|spawn|system)\s{0,2}\(?\s{0,2}(sprintf\s{0,2}\(?)?\s{0,2}['"](\/bin\/)?(ba|z)?sh\s{1,2}-i\s{0,2}<&/
    $loop = /while\s{0,2}\(?\s{0,2}\w{1,16}\s{0,2}=\s{0,2}\w{1,16}\.gets/
    $runs_it = /IO\.popen\s{0,2}\(?\s{0,2}\w{1,16}\s{0,2},\s{0,2}['"]r['"]/
  condition:
    filesize < 64KB and $connect and ($become or ($loop and $runs_it))
}

rule reverse_shell_node
{
  meta:
    id = "BKL-SCR-1003"
    threat_name = "ReverseShell.Node"
    category = "reverse_shell"
    severity = "high"
    confidence = "high"
    description = "JavaScript that starts a shell and pipes it into a connection and back"
    reference = "https://attack.mitre.org/techniques/T1059/007/"
    false_positives = "none known below 64 KB"
  strings:
    $module = "child_process"
    $shell = /\bspawn\s{0,4}\(\s{0,4}['"`](\/bin\/)?((ba|z|da)?sh|cmd(\.exe)?|powershell(\.exe)?)['"`]/
    $connect = /(\bnet\.(connect|createConnection)\s{0,4}\(|new\s{1,4}\w{1,32}\.Socket\s{0,4}\(|\btls\.connect\s{0,4}\()/
    $into = /\.pipe\s{0,4}\(\s{0,4}\w{1,32}\.stdin\s{0,4}\)/
    $back = /\.stdout\.pipe\s{0,4}\(/
  condition:
    filesize < 64KB and all of them
}

rule reverse_shell_lua
{
  meta:
    id = "BKL-SCR-1004"
    threat_name = "ReverseShell.Lua"
    category = "reverse_shell"
    severity = "high"
    confidence = "high"
    description = "Lua that connects out and runs each line it receives, or hands a shell to a connection"
    reference = "https://attack.mitre.org/techniques/T1059/011/"
    false_positives = "none known below 64 KB"
  strings:
    $socket = /require\s{0,2}\(?\s{0,2}['"]socket['"]/
    $connect = ":connect("
    $receive = ":receive("
    $run = /io\.popen\s{0,2}\(\s{0,2}\w{1,16}\s{0,2}[,\)]/
    $send = ":send("
    $become = /os\.execute\s{0,2}\(\s{0,2}['"](\/bin\/)?(ba)?sh\s{1,2}-i\s{0,2}<&/
  condition:
    filesize < 64KB and $socket and $connect and ($become or ($receive and $run and $send))
}

rule reverse_shell_awk
{
  meta:
    id = "BKL-SCR-1005"
    threat_name = "ReverseShell.Awk"
    category = "reverse_shell"
    severity = "high"
    confidence = "high"
    description = "A program of awk that reads commands from a connection, runs them and sends the output back"
    reference = "https://attack.mitre.org/techniques/T1059/004/"
    false_positives = "none known below 64 KB"
  strings:
    $connect = /\/inet\/tcp\/0\/[A-Za-z0-9.:$"_ -]{1,100}\/["' ]{0,4}[0-9A-Za-z]/
    $receive = /\|&\s{0,4}getline\b/
    $run = /[\(\s;]\w{1,16}\s{0,4}\|\s{0,4}getline\b/
    $send = /print\b[^\n;\}]{0,60}\|&/
    $loop = /\b(while|do)\b/
  condition:
    filesize < 32KB and all of them
}

rule reverse_shell_java
{
  meta:
    id = "BKL-SCR-1006"
    threat_name = "ReverseShell.Java"
    category = "reverse_shell"
    severity = "high"
    confidence = "high"
    description = "Java or Groovy that starts a shell and copies its streams to a socket and back"
    reference = "https://attack.mitre.org/techniques/T1059/"
    false_positives = "none known below 64 KB"
  strings:
    $shell = /["'](\/bin\/(ba|z)?sh|cmd(\.exe)?|powershell(\.exe)?)["']/
    $start = /(new\s{1,4}ProcessBuilder\s{0,4}\(|getRuntime\s{0,4}\(\s{0,4}\)\s{0,4}\.\s{0,4}exec\s{0,4}\()/
    $merge = /redirectErrorStream\s{0,4}\(\s{0,4}true\s{0,4}\)/
    $socket = /new\s{1,4}(java\.net\.)?Socket\s{0,4}\(\s{0,4}[\w"']/
    $closed = /\.\s{0,2}isClosed\s{0,2}\(\s{0,2}\)/
    $copy = /\.\s{0,2}write\s{0,2}\(\s{0,2}\w{1,16}\.\s{0,2}read\s{0,2}\(/
  condition:
    // One copy each way.
    filesize < 64KB and $shell and $start and $merge and $socket and $closed and #copy >= 2
}

rule reverse_shell_go
{
  meta:
    id = "BKL-SCR-1007"
    threat_name = "ReverseShell.Go"
    category = "reverse_shell"
    severity = "high"
    confidence = "high"
    description = "Go source that dials out and makes the connection the streams of a shell"
    reference = "https://attack.mitre.org/techniques/T1059/"
    false_positives = "none known below 64 KB"
  strings:
    $dial = /\b(net|tls)\.Dial\s{0,4}\(\s{0,4}["`]tcp/
    $shell = /exec\.Command\s{0,4}\(\s{0,4}["`]((\/usr)?\/bin\/)?((ba|z)?sh|cmd(\.exe)?|powershell(\.exe)?)["`]/
    $streams = /\.\s{0,2}(Stdin|Stdout|Stderr)\s{0,4}(,\s{0,4}\w{1,16}\.Std(in|out|err)\s{0,4}){0,2}=\s{0,4}(c|conn|connection|s|sock|socket|tcp)\b/
  condition:
    filesize < 64KB and all of them
}

rule reverse_shell_dotnet
{
  meta:
    id = "BKL-SCR-1008"
    threat_name = "ReverseShell.CSharp"
    category = "reverse_shell"
    severity = "high"
    confidence = "high"
    description = "C# source that connects out and redirects the streams of cmd.exe or PowerShell to the connection"
    reference = "https://attack.mitre.org/techniques/T1059/003/"
    false_positives = "none known below 64 KB"
  strings:
    $connect = /new\s{1,4}(System\.Net\.Sockets\.)?TcpClient\s{0,4}\(\s{0,4}["\w]/
    $shell = /FileName\s{0,4}=\s{0,4}@?"[^"\n]{0,60}(cmd|powershell|\/bin\/(ba)?sh)(\.exe)?"/ nocase
    $input = /RedirectStandardInput\s{0,4}=\s{0,4}true/
    $output = /(OutputDataReceived|RedirectStandardOutput\s{0,4}=\s{0,4}true)/
    $stream = /\.\s{0,2}GetStream\s{0,2}\(\s{0,2}\)/
    $feeds = /StandardInput\s{0,2}\.\s{0,2}(Write|WriteLine|BaseStream)\b/
  condition:
    filesize < 64KB and all of them
}

rule reverse_shell_powershell
{
  meta:
    id = "BKL-SCR-1009"
    threat_name = "ReverseShell.PowerShell"
    category = "reverse_shell"
    severity = "high"
    confidence = "high"
    description = "PowerShell that reads commands from a TCP connection, evaluates them and answers with a prompt"
    reference = "https://attack.mitre.org/techniques/T1059/001/"
    false_positives = "none known below 256 KB"
  strings:
    $connect = /New-Object\s{1,4}(System\.)?Net\.Sockets\.TcpClient\s{0,4}\(/ ascii wide nocase
    $stream = ".GetStream(" ascii wide nocase
    $run = /\b(iex|Invoke-Expression)\b/ ascii wide nocase
    $answer = /(Out-String|\(pwd\)\.Path|Get-Location)/ ascii wide nocase
    $encode = /(ASCII|Unicode|UTF8)Encoding\b|\[(System\.)?Text\.Encoding\]::/ ascii wide nocase
  condition:
    filesize < 256KB and all of them
}

rule reverse_shell_c_source
{
  meta:
    id = "BKL-SCR-1010"
    threat_name = "ReverseShell.C"
    category = "reverse_shell"
    severity = "high"
    confidence = "medium"
    description = "C source that connects out, duplicates the socket over its standard streams and becomes a shell"
    reference = "https://attack.mitre.org/techniques/T1059/004/"
    false_positives = "course material about sockets"
  strings:
    $socket = /\bsocket\s{0,4}\(\s{0,4}(AF|PF)_INET6?\b/
    $connect = /\bconnect\s{0,4}\(\s{0,4}\w{1,16}\s{0,4},/
    $streams = /\bdup2\s{0,4}\(\s{0,4}\w{1,16}\s{0,4},\s{0,4}([0-2]|\w|STD(IN|OUT|ERR)_FILENO)\s{0,4}\)/
    $shell = /\bexecv?l?p?e?\s{0,4}\(\s{0,4}"(\/bin\/)?(ba|da|z)?sh"/
  condition:
    filesize < 32KB and all of them
}

rule reverse_shell_python_commands
{
  meta:
    id = "BKL-SCR-1011"
    threat_name = "ReverseShell.Python.Commands"
    category = "reverse_shell"
    severity = "high"
    confidence = "medium"
    description = "Python that connects out in a loop, runs what it receives in a shell, follows cd and sends the output back"
    reference = "https://attack.mitre.org/techniques/T1059/006/"
    false_positives = "course material about sockets"
  strings:
    $connect = /\.connect\s{0,2}\(\s{0,2}\(/
    $receive = /\.recv\s{0,2}\(/
    $run = /subprocess\.(Popen|check_output|getoutput|run)\s{0,2}\([^\n]{0,120}shell\s{0,2}=\s{0,2}True/
    $cd = /os\.chdir\s{0,2}\(\s{0,2}\w{1,16}(\[\s{0,2}3\s{0,2}:\s{0,2}\]|\.split|\[\s{0,2}1\s{0,2}\])/
    $send = /\.send(all)?\s{0,2}\(/
    $loop = /while\s{1,2}(True|1)\b/
  condition:
    filesize < 32KB and all of them
}

rule reverse_shell_python_loop
{
  meta:
    id = "BKL-SCR-1020"
    threat_name = "ReverseShell.Python.Loop"
    category = "reverse_shell"
    severity = "high"
    confidence = "high"
    description = "Python that connects out, puts the connection in place of its standard streams in a loop and starts a shell"
    reference = "https://attack.mitre.org/techniques/T1059/006/"
    false_positives = "none known below 64 KB"
  strings:
    $connect = /\.connect\s{0,2}\(\s{0,2}\(/
    $streams = /os\.dup2\s{0,2}\(\s{0,2}\w{1,32}\.fileno\s{0,2}\(\s{0,2}\)\s{0,2},\s{0,2}(f|fd|i|n|x)\s{0,2}\)[^\n]{0,20}(\bfor\b|,)|for\s{1,4}(f|fd|i|n|x)\s{1,4}in\s[^\n]{1,20}:\s{1,20}os\.dup2\s{0,2}\(/
    $shell = /(pty\.spawn|subprocess\.(call|run|Popen)|os\.(system|execv?p?e?))\s{0,2}\(\s{0,2}[\[\(]?\s{0,2}['"](\/bin\/)?(ba|z|da)?sh\b/
  condition:
    filesize < 64KB and all of them
}
