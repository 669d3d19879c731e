/* Web shells for Java servers that load, write or hide instead of starting a command outright. */

rule jsp_loads_class_from_request
{
  meta:
    id = "BKL-WEB-0022"
    threat_name = "WebShell.JSP.ClassLoader"
    category = "webshell"
    severity = "high"
    confidence = "high"
    description = "A JSP page that decrypts or decodes a request into a class and starts it"
    reference = "https://attack.mitre.org/techniques/T1505/003/"
    false_positives = "none known"
  strings:
    $page = "<%"
    $define = "defineClass" fullword
    $loader = /extends\s{1,8}ClassLoader\b/
    $decode = /(Cipher\.getInstance\s{0,4}\(\s{0,4}"AES|BASE64Decoder|Base64\.getDecoder|DatatypeConverter\.parseBase64Binary|decodeBase64)/
    $source = /request\s{0,4}\.\s{0,4}(getReader|getParameter|getInputStream|getHeader)\s{0,4}\(/
    $start = /\.\s{0,4}(newInstance|getDeclaredConstructor)\s{0,4}\(/
  condition:
    filesize < 256KB and all of them
}

rule jsp_request_to_file
{
  meta:
    id = "BKL-WEB-0023"
    threat_name = "WebShell.JSP.FileWriter"
    category = "webshell"
    severity = "high"
    confidence = "high"
    description = "A JSP page that writes a field of the request to the path another field names"
    reference = "https://attack.mitre.org/techniques/T1105/"
    false_positives = "none known"
  strings:
    $page = "<%"
    $stream = /new\s{1,8}(java\.io\.)?(FileOutputStream|FileWriter|PrintWriter|RandomAccessFile)\s{0,4}\([^;\n]{0,120}request\s{0,4}\.\s{0,4}getParameter\s{0,4}\(/
    $content = /\.\s{0,4}(write|print|append)\s{0,4}\([^;\n]{0,80}request\s{0,4}\.\s{0,4}getParameter\s{0,4}\(/
  condition:
    filesize < 128KB and all of them
}

rule jsp_request_to_script
{
  meta:
    id = "BKL-WEB-0024"
    threat_name = "WebShell.JSP.Script"
    category = "webshell"
    severity = "high"
    confidence = "high"
    description = "A JSP page that evaluates a request parameter as script or as expression language"
    reference = "https://attack.mitre.org/techniques/T1505/003/"
    false_positives = "deliberately vulnerable training applications"
  strings:
    $page = "<%"
    $engine = /(ScriptEngineManager|ELProcessor|SpelExpressionParser|GroovyShell)\b/
    $flow = /\.\s{0,4}(eval|evaluate|parseExpression)\s{0,4}\(\s{0,4}request\s{0,4}\.\s{0,4}get(Parameter|Header)\s{0,4}\(/
  condition:
    filesize < 128KB and all of them
}

rule jsp_reflects_runtime
{
  meta:
    id = "BKL-WEB-0025"
    threat_name = "WebShell.JSP.Reflection"
    category = "webshell"
    severity = "high"
    confidence = "high"
    description = "A JSP page that reaches the starter of processes by reflection and gives it a request parameter"
    reference = "https://attack.mitre.org/techniques/T1505/003/"
    false_positives = "none known"
  strings:
    $page = "<%"
    $reflect = /\b(forName|loadClass)\s{0,4}\(\s{0,4}["'](java\.lang\.)?["']?[\s+"]{0,8}(java\.lang\.)?(Runtime|ProcessBuilder|ProcessImpl|UNIXProcess)["']/
    $method = /\.\s{0,4}get(Declared)?(Method|Constructor)s?\s{0,4}\(/
    $source = /request\s{0,4}\.\s{0,4}get(Parameter|Header)\s{0,4}\(/
    $call = /\.\s{0,4}(invoke|newInstance)\s{0,4}\(/
  condition:
    filesize < 128KB and all of them
}

rule jsp_memory_filter
{
  meta:
    id = "BKL-WEB-0026"
    threat_name = "WebShell.JSP.MemoryFilter"
    category = "webshell"
    severity = "high"
    confidence = "high"
    description = "A JSP page that registers a filter or valve in the running server, so that commands work after the page is deleted"
    reference = "https://attack.mitre.org/techniques/T1505/003/"
    false_positives = "none known"
  strings:
    $page = "<%"
    $context = "StandardContext" fullword
    $register = /\b(addFilterDef|addFilterMapBefore|addFilterMap|addValve|addServletMappingDecoded|addApplicationEventListener)\s{0,4}\(/
    $run_1 = /getRuntime\s{0,4}\(\s{0,4}\)\s{0,4}\.\s{0,4}exec\b/
    $run_2 = /new\s{1,4}ProcessBuilder\b/
    $run_3 = "defineClass"
    $field = /\.\s{0,4}get(DeclaredField|Parameter|Header)\s{0,4}\(/
  condition:
    filesize < 256KB and $page and $context and $register and any of ($run_*) and $field
}
