/* Web shells for Java servers. */

rule jsp_request_to_command
{
  meta:
    id = "BKL-WEB-0004"
    threat_name = "WebShell.JSP.Command"
    category = "webshell"
    severity = "high"
    confidence = "high"
    description = "A JSP page that starts what a request parameter names, directly or through a variable"
    reference = "https://attack.mitre.org/techniques/T1505/003/"
    false_positives = "deliberately vulnerable training applications"
  strings:
    $page = "<%"
    $direct = /getRuntime\s{0,8}\(\s{0,8}\)\s{0,8}\.\s{0,8}exec\s{0,8}\([^;\n]{0,80}request\s{0,8}\.\s{0,8}getParameter\s{0,8}\(/
    $builder = /new\s{1,8}ProcessBuilder\s{0,8}\([^;\n]{0,120}request\s{0,8}\.\s{0,8}getParameter\s{0,8}\(/
    $variable = /String\s{1,8}(cmd|command|c|exec)\s{0,8}=\s{0,8}request\.getParameter\(/
    $runs_it = /getRuntime\s{0,8}\(\s{0,8}\)\s{0,8}\.\s{0,8}exec\s{0,8}\([^;\n]{0,80}\b(cmd|command|c|exec)\b/
  condition:
    filesize < 1MB and $page and ($direct or $builder or ($variable and $runs_it))
}
