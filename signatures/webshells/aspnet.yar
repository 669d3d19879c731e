/* Web shells for ASP and ASP.NET. */

rule aspx_request_to_eval
{
  meta:
    id = "BKL-WEB-0005"
    threat_name = "WebShell.ASPX.Eval"
    category = "webshell"
    severity = "high"
    confidence = "high"
    description = "An ASP page of one line that evaluates a request field as script"
    reference = "https://attack.mitre.org/software/S0020/"
    false_positives = "none known"
  strings:
    $page = /<%/
    $flow = /\beval\s{0,8}\(\s{0,8}Request\s{0,8}(\.\s{0,8}(Item|Form|QueryString|Params))?\s{0,8}[\[\(]\s{0,8}"[^"\n]{1,64}"/ nocase
    $flow_vbs = /\bexecute(global)?\s{1,8}\(?\s{0,8}request\s{0,8}(\.\s{0,8}(item|form|querystring))?\s{0,8}\(\s{0,8}"[^"\n]{1,64}"/ nocase
  condition:
    filesize < 512KB and $page and ($flow or $flow_vbs)
}

rule aspx_request_to_process
{
  meta:
    id = "BKL-WEB-0006"
    threat_name = "WebShell.ASPX.Command"
    category = "webshell"
    severity = "high"
    confidence = "medium"
    description = "An ASP.NET page that starts cmd.exe with arguments from the request and shows its output"
    reference = "https://attack.mitre.org/techniques/T1505/003/"
    false_positives = "home-made administration pages, which are as dangerous"
  strings:
    $page = /<%@\s{0,8}Page\b/ nocase
    $shell = /FileName\s{0,8}=\s{0,8}@?"(cmd|cmd\.exe|powershell|powershell\.exe|c:\\{1,2}windows\\{1,2}system32\\{1,2}cmd\.exe)"/ nocase
    $from_request = /Arguments\s{0,8}=[^;\n]{0,80}\bRequest\b/ nocase
    $shown = "StandardOutput" nocase
  condition:
    filesize < 512KB and all of them
}
