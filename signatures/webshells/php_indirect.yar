/* Web shells in PHP that do not call an interpreter by name: callbacks, computed names, modifiers, streams. */

rule php_request_to_callback
{
  meta:
    id = "BKL-WEB-0007"
    threat_name = "WebShell.PHP.Callback"
    category = "webshell"
    severity = "high"
    confidence = "high"
    description = "PHP that lets a request parameter name the function a callback calls"
    reference = "https://attack.mitre.org/techniques/T1505/003/"
    false_positives = "deliberately vulnerable training applications"
  strings:
    $php = /<\?(php|=)/ nocase
    $first = /\b(call_user_func(_array)?|register_shutdown_function|register_tick_function|array_map|forward_static_call)\s{0,8}\(\s{0,8}@?\$_(GET|POST|REQUEST|COOKIE)\s{0,8}\[/ nocase
    $second = /\b(array_filter|array_walk|usort|uasort|uksort|array_reduce|preg_replace_callback|iterator_apply)\s{0,8}\([^;\n]{1,120},\s{0,8}@?\$_(GET|POST|REQUEST|COOKIE)\s{0,8}\[/ nocase
  condition:
    filesize < 256KB and $php and ($first or $second)
}

rule php_request_as_function
{
  meta:
    id = "BKL-WEB-0008"
    threat_name = "WebShell.PHP.VariableFunction"
    category = "webshell"
    severity = "high"
    confidence = "high"
    description = "PHP that calls the function one request parameter names with another one as its argument"
    reference = "https://attack.mitre.org/techniques/T1505/003/"
    false_positives = "none known"
  strings:
    $php = /<\?(php|=)/ nocase
    $call = /\$_(GET|POST|REQUEST|COOKIE)\s{0,4}[\[\{]\s{0,4}['"]?\w{1,32}['"]?\s{0,4}[\]\}]\s{0,4}\(\s{0,4}@?\$_(GET|POST|REQUEST|COOKIE)\s{0,4}[\[\{]/
  condition:
    filesize < 256KB and $php and $call
}

rule php_regex_evaluates_request
{
  meta:
    id = "BKL-WEB-0009"
    threat_name = "WebShell.PHP.PregReplace"
    category = "webshell"
    severity = "high"
    confidence = "high"
    description = "PHP that replaces with the evaluating modifier of old versions, the replacement taken from the request"
    reference = "https://attack.mitre.org/techniques/T1505/003/"
    false_positives = "none known"
  strings:
    $php = /<\?(php|=)/ nocase
    $flow = /\bpreg_replace\s{0,8}\(\s{0,8}['"]([\/|#~])[^'"\n]{1,60}[\/|#~][imsxu]{0,5}e[imsxu]{0,5}['"]\s{0,8},\s{0,8}@?(\$_(GET|POST|REQUEST|COOKIE)\s{0,8}\[|(base64_decode|stripslashes)\s{0,8}\(\s{0,8}\$_)/ nocase
  condition:
    filesize < 256KB and $php and $flow
}

rule php_spelled_out_function
{
  meta:
    id = "BKL-WEB-0010"
    threat_name = "WebShell.PHP.SpelledFunction"
    category = "webshell"
    severity = "high"
    confidence = "medium"
    description = "PHP that decodes or spells the name of an interpreter letter by letter and calls it with the request"
    reference = "https://attack.mitre.org/techniques/T1027/"
    false_positives = "none known"
  strings:
    $php = /<\?(php|=)/ nocase
    $rot = /str_rot13\s{0,4}\(\s{0,4}['"](nffreg|flfgrz|riny|cnffgueh|furyy_rkrp|perngr_shapgvba)['"]/ nocase
    $reversed = /strrev\s{0,4}\(\s{0,4}['"](tressa|metsys|urhtssap|cexe_llehs|noitcnuf_etaerc)['"]/ nocase
    $base64 = /base64_decode\s{0,4}\(\s{0,4}['"](YXNzZXJ0|c3lzdGVt|cGFzc3RocnU=|c2hlbGxfZXhlYw==|Y3JlYXRlX2Z1bmN0aW9u)['"]/ nocase
    $letters = /chr\s{0,2}\(\s{0,2}[0-9]{2,3}\s{0,2}\)(\s{0,2}\.\s{0,2}chr\s{0,2}\(\s{0,2}[0-9]{2,3}\s{0,2}\)){3,20}/ nocase
    $called = /\$\w{1,32}\s{0,4}\(\s{0,4}@?(stripslashes\s{0,4}\(\s{0,4})?\$_(GET|POST|REQUEST|COOKIE)\s{0,4}\[/
  condition:
    filesize < 128KB and $php and $called and any of ($rot, $reversed, $base64, $letters)
}

rule php_includes_stream
{
  meta:
    id = "BKL-WEB-0011"
    threat_name = "WebShell.PHP.StreamInclude"
    category = "webshell"
    severity = "high"
    confidence = "high"
    description = "PHP that includes or evaluates the body of the request or a text of its own as code"
    reference = "https://attack.mitre.org/techniques/T1505/003/"
    false_positives = "deliberately vulnerable training applications"
  strings:
    $php = /<\?(php|=)/ nocase
    $input = /\b(include|require)(_once)?\s{0,4}\(?\s{0,4}['"]php:\/\/input['"]/ nocase
    $data = /\b(include|require)(_once)?\s{0,4}\(?\s{0,4}['"]data:(\/\/)?text\/plain;base64,[A-Za-z0-9+\/=]{8}/ nocase
    $eval = /\b(eval|assert)\s{0,4}\(\s{0,4}['".?>]{0,8}\s{0,4}@?file_get_contents\s{0,4}\(\s{0,4}['"]php:\/\/input['"]/ nocase
  condition:
    // Development servers evaluate the body too, in files that do much else.
    filesize < 256KB and $php and ($input or $data or (filesize < 2KB and $eval))
}

rule php_encrypted_command_channel
{
  meta:
    id = "BKL-WEB-0012"
    threat_name = "WebShell.PHP.EncryptedChannel"
    category = "webshell"
    severity = "high"
    confidence = "high"
    description = "PHP that decrypts the body of the request with a key of its own and evaluates it, as remote-control consoles expect"
    reference = "https://attack.mitre.org/techniques/T1573/001/"
    false_positives = "none known"
  strings:
    $php = /<\?(php|=)/ nocase
    $quiet = /@?(session_start|error_reporting|set_time_limit)\s{0,4}\(\s{0,4}0?\s{0,4}\)/ nocase
    $body = "php://input" nocase
    $field = /\$_POST\s{0,4}\[\s{0,4}\$\w{1,24}\s{0,4}\]/
    $cipher = "openssl_decrypt" nocase
    $xor = /\$\w{1,16}\[\s{0,2}\$\w{1,8}\s{0,2}\+\s{0,2}1\s{0,2}&\s{0,2}15\s{0,2}\]/
    $run = /\beval\s{0,4}\(\s{0,4}[$"'.\w]/ nocase
    $class = /class\s{1,4}\w{1,16}\s{0,8}\{[^\}]{0,80}function\s{1,4}__(invoke|construct)\s{0,4}\(\s{0,4}\$\w{1,8}\s{0,4}\)\s{0,8}\{\s{0,8}@?eval\s{0,4}\(/ nocase
  condition:
    filesize < 32KB and $php and $quiet and ($body or $field) and ($cipher or $xor) and ($run or $class)
}

rule php_merges_cookie_and_post
{
  meta:
    id = "BKL-WEB-0013"
    threat_name = "WebShell.PHP.CookieLoader"
    category = "webshell"
    severity = "high"
    confidence = "medium"
    description = "PHP that tries every cookie and field of a request as an encoded program"
    reference = "https://attack.mitre.org/techniques/T1505/003/"
    false_positives = "none known"
  strings:
    $php = /<\?(php|=)/ nocase
    $merge = /foreach\s{0,4}\(\s{0,4}array_merge\s{0,4}\(\s{0,4}\$_(COOKIE|POST|GET)\s{0,4},\s{0,4}\$_(COOKIE|POST|GET)/ nocase
    $decode = /\b(base64_decode|unserialize|str_rot13|hex2bin)\s{0,4}\(/ nocase
    $run = /\b(eval|create_function|assert)\s{0,4}\(|@include\s{0,4}\(?\s{0,4}\$/ nocase
  condition:
    filesize < 64KB and all of them
}

rule php_request_variable_to_command
{
  meta:
    id = "BKL-WEB-0040"
    threat_name = "WebShell.PHP.CommandVariable"
    category = "webshell"
    severity = "high"
    confidence = "medium"
    description = "A small PHP page that puts a request parameter into a variable named after a command and runs it"
    reference = "https://attack.mitre.org/techniques/T1505/003/"
    false_positives = "deliberately vulnerable training applications"
  strings:
    $php = /<\?(php|=)/ nocase
    $variable = /\$(cmd|command|c|exec|execute|shell|x)\s{0,4}=\s{0,4}(isset\s{0,2}\(\s{0,2}\$_\w{3,7}\[[^\]\n]{1,24}\]\s{0,2}\)\s{0,2}\?\s{0,4})?(trim|stripslashes|base64_decode|urldecode|hex2bin)?\s{0,2}\(?\s{0,2}@?\$_(GET|POST|REQUEST|COOKIE)\s{0,4}\[/ nocase
    $run = /\b(system|passthru|shell_exec|exec|popen|proc_open)\s{0,4}\(\s{0,4}["']?\$(cmd|command|c|exec|execute|shell|x)\b/ nocase
  condition:
    filesize < 16KB and all of them
}
