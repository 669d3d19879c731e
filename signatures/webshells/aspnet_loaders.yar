/* Web shells for IIS that load, write, spy or use the older interpreters. */

rule aspx_loads_assembly_from_request
{
  meta:
    id = "BKL-WEB-0027"
    threat_name = "WebShell.ASPX.AssemblyLoader"
    category = "webshell"
    severity = "high"
    confidence = "high"
    description = "An ASP.NET page that loads the body of a request as a program and creates an object of it"
    reference = "https://attack.mitre.org/techniques/T1620/"
    false_positives = "none known"
  strings:
    $page = /<%@\s{0,8}(Page|WebHandler|WebService)\b/ nocase
    $load = /\bAssembly\s{0,4}\.\s{0,4}Load\s{0,4}\(|GetMethod\s{0,4}\(\s{0,4}"Load"/
    $source = /\bRequest\s{0,4}(\.\s{0,4}(BinaryRead|InputStream|Form|Item|QueryString|Params)\b|\[)/
    $decode = /(FromBase64String|RijndaelManaged|CreateDecryptor|AesManaged)/
    $start = /\.\s{0,4}CreateInstance\s{0,4}\(/
  condition:
    filesize < 256KB and $page and $load and $source and $start and $decode
}

rule aspx_request_to_file
{
  meta:
    id = "BKL-WEB-0028"
    threat_name = "WebShell.ASPX.FileWriter"
    category = "webshell"
    severity = "high"
    confidence = "high"
    description = "An ASP or ASP.NET page that writes a field of the request to the file another field names"
    reference = "https://attack.mitre.org/techniques/T1105/"
    false_positives = "none known"
  strings:
    $page = "<%"
    $write = /File\s{0,4}\.\s{0,4}(WriteAll(Text|Bytes)|AppendAllText)\s{0,4}\([^;\n]{0,60}\bRequest\b[^;\n]{1,120}\bRequest\b/ nocase
    $create = /CreateTextFile\s{0,4}\(\s{0,4}[^;\n]{0,40}\bRequest\b[^;\n]{0,80}\)\s{0,4}\.\s{0,4}Write[^;\n]{0,20}\bRequest\b/ nocase
  condition:
    filesize < 128KB and $page and ($write or $create)
}

rule asp_request_to_shell
{
  meta:
    id = "BKL-WEB-0029"
    threat_name = "WebShell.ASP.Command"
    category = "webshell"
    severity = "high"
    confidence = "high"
    description = "A classic ASP page that runs a field of the request through the shell object and reads the output"
    reference = "https://attack.mitre.org/techniques/T1505/003/"
    false_positives = "deliberately vulnerable training applications"
  strings:
    $page = "<%"
    $object = /CreateObject\s{0,4}\(\s{0,4}"(WScript\.Shell|WSCRIPT\.SHELL|Shell\.Application)"/ nocase
    $run = /\.\s{0,4}(exec|run|ShellExecute)\s{0,4}\(?[^\n]{0,60}\brequest\s{0,4}(\.\s{0,4}(form|querystring|item))?\s{0,4}\(/ nocase
    $output = /\b(StdOut|ReadAll)\b/ nocase
  condition:
    filesize < 128KB and $page and $object and $run and $output
}

rule aspx_reads_machine_key
{
  meta:
    id = "BKL-WEB-0030"
    threat_name = "WebShell.ASPX.MachineKey"
    category = "webshell"
    severity = "high"
    confidence = "high"
    description = "An ASP.NET page that shows the keys the server signs its state with, which lets others forge it"
    reference = "https://attack.mitre.org/techniques/T1552/001/"
    false_positives = "none known"
  strings:
    $page = /<%@?/
    $section = "MachineKeySection"
    $key = /\b(ValidationKey|DecryptionKey)\b/
    $shown = /Response\s{0,4}\.\s{0,4}Write\s{0,4}\(/ nocase
  condition:
    filesize < 64KB and all of them
}

rule aspx_handler_to_process
{
  meta:
    id = "BKL-WEB-0031"
    threat_name = "WebShell.ASHX.Command"
    category = "webshell"
    severity = "high"
    confidence = "medium"
    description = "A handler of ASP.NET that starts an interpreter with arguments from the request"
    reference = "https://attack.mitre.org/techniques/T1505/003/"
    false_positives = "none known"
  strings:
    $page = /<%@\s{0,8}WebHandler\b/ nocase
    $start = /(ProcessStartInfo|Process\s{0,4}\.\s{0,4}Start)\b/
    $shell = /"(\/bin\/(ba)?sh|cmd(\.exe)?|powershell(\.exe)?)"/ nocase
    $source = /\bRequest\s{0,4}(\[|\.\s{0,4}(Form|QueryString|Params|Headers)\b)/
  condition:
    filesize < 128KB and all of them
}

rule coldfusion_request_to_process
{
  meta:
    id = "BKL-WEB-0032"
    threat_name = "WebShell.ColdFusion.Command"
    category = "webshell"
    severity = "high"
    confidence = "high"
    description = "A ColdFusion page that runs a field of the request as a command"
    reference = "https://attack.mitre.org/techniques/T1505/003/"
    false_positives = "none known"
  strings:
    $direct = /<cfexecute\b[^>]{0,200}(arguments|name)\s{0,4}=\s{0,4}["'][^"'\n]{0,40}#\s{0,4}(form|url|cookie)\./ nocase
  condition:
    filesize < 128KB and $direct
}
