/* Web shells for servers written in Python, Perl, JavaScript and Ruby. */

rule python_request_to_command
{
  meta:
    id = "BKL-WEB-0033"
    threat_name = "WebShell.Python.Command"
    category = "webshell"
    severity = "high"
    confidence = "medium"
    description = "A Python web application that runs a field of the request as a command"
    reference = "https://attack.mitre.org/techniques/T1505/003/"
    false_positives = "deliberately vulnerable training applications"
  strings:
    $flow = /\b(os\.(popen|system)|subprocess\.(Popen|run|call|check_output|getoutput|getstatusoutput))\s{0,4}\(\s{0,4}(flask\.)?(self\.)?request\.(args|form|values|GET|POST|query_params|headers|cookies|json|get_json\(\))\s{0,4}(\.get\s{0,4}\(|\[)/
  condition:
    filesize < 128KB and $flow
}

rule python_request_to_code
{
  meta:
    id = "BKL-WEB-0034"
    threat_name = "WebShell.Python.Eval"
    category = "webshell"
    severity = "high"
    confidence = "high"
    description = "A Python web application that evaluates a field of the request as code, directly or decoded"
    reference = "https://attack.mitre.org/techniques/T1505/003/"
    false_positives = "deliberately vulnerable training applications"
  strings:
    $flow = /\b(eval|exec)\s{0,4}\(\s{0,4}((base64\.)?b64decode\s{0,4}\(\s{0,4}|bytes\.fromhex\s{0,4}\(\s{0,4}|compile\s{0,4}\(\s{0,4})?(flask\.)?request\.(args|form|values|GET|POST|data|headers|cookies|get_data\(\))\b/
  condition:
    filesize < 128KB and $flow
}

rule python_cgi_to_command
{
  meta:
    id = "BKL-WEB-0035"
    threat_name = "WebShell.Python.CGI"
    category = "webshell"
    severity = "high"
    confidence = "high"
    description = "A Python CGI script that runs a field of the form as a command and prints the output"
    reference = "https://attack.mitre.org/techniques/T1505/003/"
    false_positives = "none known"
  strings:
    $form = "FieldStorage("
    $header = /Content-type:\s{0,4}text\/(html|plain)/ nocase
    $direct = /\b(os\.(popen|system)|subprocess\.(Popen|run|call|check_output|getoutput))\s{0,4}\(\s{0,4}\w{1,16}(\.getvalue\s{0,4}\(|\.getfirst\s{0,4}\(|\[['"]\w{1,16}['"]\]\.value)/
    $variable = /\b(cmd|command)\s{0,4}=\s{0,4}\w{1,16}(\.getvalue\s{0,4}\(|\.getfirst\s{0,4}\(|\[['"]\w{1,16}['"]\]\.value)/
    $runs_it = /\b(os\.(popen|system)|subprocess\.(Popen|run|call|check_output|getoutput))\s{0,4}\(\s{0,4}(cmd|command)\b/
  condition:
    filesize < 64KB and $form and $header and ($direct or ($variable and $runs_it))
}

rule perl_cgi_to_command
{
  meta:
    id = "BKL-WEB-0036"
    threat_name = "WebShell.Perl.CGI"
    category = "webshell"
    severity = "high"
    confidence = "high"
    description = "A Perl CGI script that runs a field of the form as a command"
    reference = "https://attack.mitre.org/techniques/T1505/003/"
    false_positives = "none known"
  strings:
    $perl = /(#!\s{0,2}\/[\w\/]{1,20}[\/ ]perl\b|\buse\s{1,4}(CGI|strict|warnings|IO::\w{1,16})\b)/
    $cgi = /(use\s{1,4}CGI\b|Content-type:\s{0,4}text\/|QUERY_STRING)/ nocase
    $direct = /\b(system|exec|qx|open)\b[\s(\{]{0,6}[^;\n]{0,40}(->\s{0,2}|\b)param\s{0,2}\(\s{0,2}['"]?\w{1,16}['"]?\s{0,2}\)/
    $ticks = /`\s{0,2}\$(\{\s{0,2}\\?\s{0,2})?(cmd|command|in\{\s{0,2}['"]?\w{1,16}['"]?\s{0,2}\}|FORM\{\s{0,2}['"]?\w{1,16}['"]?\s{0,2}\})\s{0,2}(2>&1)?\s{0,2}`/
    $field = /(param\s{0,2}\(\s{0,2}['"]?(cmd|command|c|exec)['"]?\s{0,2}\)|QUERY_STRING|read\s{0,2}\(?\s{0,2}STDIN)/
  condition:
    filesize < 256KB and $perl and $cgi and ($direct or ($ticks and $field))
}

rule node_request_to_command
{
  meta:
    id = "BKL-WEB-0037"
    threat_name = "WebShell.Node.Command"
    category = "webshell"
    severity = "high"
    confidence = "medium"
    description = "JavaScript on a server that runs a field of the request as a command"
    reference = "https://attack.mitre.org/techniques/T1505/003/"
    false_positives = "deliberately vulnerable training applications"
  strings:
    $module = "child_process"
    $flow = /\b(exec|execSync|spawn|spawnSync|execFile)\s{0,4}\(\s{0,4}(req|request|ctx|ctx\.request|this\.request|url\.parse\(\s{0,2}req\.url,\s{0,2}(true|!0)\s{0,2}\))\.(query|body|params|headers|cookies)\s{0,4}[.\[]/
  condition:
    filesize < 128KB and all of them
}

rule node_request_to_code
{
  meta:
    id = "BKL-WEB-0038"
    threat_name = "WebShell.Node.Eval"
    category = "webshell"
    severity = "high"
    confidence = "high"
    description = "JavaScript on a server that evaluates a field of the request as code"
    reference = "https://attack.mitre.org/techniques/T1505/003/"
    false_positives = "deliberately vulnerable training applications"
  strings:
    $flow = /\b(eval|Function|runInThisContext|runInNewContext)\s{0,4}\(\s{0,4}(atob\s{0,4}\(\s{0,4}|Buffer\.from\s{0,4}\(\s{0,4})?(req|request|ctx|ctx\.request)\.(query|body|params|headers|cookies)\s{0,4}[.\[]/
  condition:
    filesize < 128KB and $flow
}

rule ruby_request_to_command
{
  meta:
    id = "BKL-WEB-0039"
    threat_name = "WebShell.Ruby.Command"
    category = "webshell"
    severity = "high"
    confidence = "medium"
    description = "A Ruby web application that runs a request parameter as a command"
    reference = "https://attack.mitre.org/techniques/T1505/003/"
    false_positives = "deliberately vulnerable training applications"
  strings:
    $server = /(require\s{1,4}['"](sinatra|webrick|rack|cgi)['"]|ApplicationController)/
    $ticks = /(`|%x[\{\(\[])\s{0,2}#\{\s{0,2}(params|cgi|request\.query|request\.params|req\.query)\s{0,2}\[\s{0,2}['":]\w{1,16}['"]?\s{0,2}\]\s{0,2}\}/
    $call = /\b(system|exec|IO\.popen|Open3\.capture2e?|eval)\s{0,2}\(?\s{0,2}(params|cgi|request\.query|request\.params|req\.query)\s{0,2}\[\s{0,2}['":]\w{1,16}['"]?\s{0,2}\]/
  condition:
    filesize < 128KB and $server and ($ticks or $call)
}
