/* What attackers leave in PHP beside the one-liners: writers, uploaders, panels, things that grow back, disguises. */

rule php_request_to_file
{
  meta:
    id = "BKL-WEB-0014"
    threat_name = "WebShell.PHP.FileWriter"
    category = "webshell"
    severity = "high"
    confidence = "high"
    description = "PHP that writes a field of the request to the file another field names"
    reference = "https://attack.mitre.org/techniques/T1505/003/"
    false_positives = "home-made editors without any check, which are as dangerous"
  strings:
    $php = /<\?(php|=)/ nocase
    $put = /\bfile_put_contents\s{0,4}\(\s{0,4}@?\$_(GET|POST|REQUEST|COOKIE)\s{0,4}\[[^\]\n]{1,32}\]\s{0,4},\s{0,4}(base64_decode|stripslashes|urldecode|hex2bin)?\s{0,4}\(?\s{0,4}\$_(GET|POST|REQUEST|COOKIE)\s{0,4}\[/ nocase
    $write = /\bfwrite\s{0,4}\(\s{0,4}fopen\s{0,4}\(\s{0,4}\$_(GET|POST|REQUEST|COOKIE)\s{0,4}\[[^;\n]{1,80}\$_(GET|POST|REQUEST|COOKIE)\s{0,4}\[/ nocase
  condition:
    filesize < 256KB and $php and ($put or $write)
}

rule php_uploader_with_system_banner
{
  meta:
    id = "BKL-WEB-0015"
    threat_name = "WebShell.PHP.Uploader"
    category = "webshell"
    severity = "high"
    confidence = "medium"
    description = "A small upload page that shows the operating system and takes any file under its own name"
    reference = "https://attack.mitre.org/techniques/T1105/"
    false_positives = "exercises of beginners"
  strings:
    $php = /<\?(php|=)/ nocase
    $banner = "php_uname" nocase
    $form = "multipart/form-data" nocase
    $take = /\b(move_uploaded_file|copy)\s{0,4}\(\s{0,4}\$_FILES\s{0,4}\[[^\]\n]{1,32}\]\s{0,4}\[\s{0,4}['"]tmp_name['"]\s{0,4}\]\s{0,4},[^;\n]{0,60}\$_FILES\s{0,4}\[[^\]\n]{1,32}\]\s{0,4}\[\s{0,4}['"]name['"]/ nocase
  condition:
    filesize < 8KB and all of them
}

rule php_control_panel
{
  meta:
    id = "BKL-WEB-0016"
    threat_name = "WebShell.PHP.Panel"
    category = "webshell"
    severity = "high"
    confidence = "medium"
    description = "A PHP page that shows limits and accounts of the server, manages its files and runs commands"
    reference = "https://attack.mitre.org/techniques/T1505/003/"
    false_positives = "administration panels without a log-in"
  strings:
    $php = /<\?(php|=)/ nocase
    $limits = "disable_functions" nocase
    $system = "php_uname" nocase
    $account_1 = "posix_getpwuid" nocase
    $account_2 = "/etc/passwd" nocase
    $account_3 = "getmyuid" nocase
    $files_1 = "fileperms" nocase
    $files_2 = /\bchmod\s{0,4}\(\s{0,4}\$/ nocase
    $files_3 = /\bunlink\s{0,4}\(\s{0,4}\$/ nocase
    $files_4 = "move_uploaded_file" nocase
    $run = /\b(shell_exec|passthru|proc_open|popen|system)\s{0,4}\(\s{0,4}\$(_(GET|POST|REQUEST)|cmd|command|c|komut|perintah)\b/ nocase
  condition:
    filesize < 1MB and $php and $limits and $system and any of ($account_*) and 2 of ($files_*) and $run
}

rule php_loader_bypasses_disabled_functions
{
  meta:
    id = "BKL-WEB-0017"
    threat_name = "WebShell.PHP.PreloadBypass"
    category = "webshell"
    severity = "high"
    confidence = "high"
    description = "PHP that preloads a library into the mail program in order to run what is disabled"
    reference = "https://attack.mitre.org/techniques/T1574/006/"
    false_positives = "none known"
  strings:
    $php = /<\?(php|=)/ nocase
    $preload = /\bputenv\s{0,4}\(\s{0,4}["']LD_PRELOAD=/ nocase
    $trigger = /\b(mb_send_mail|mail|error_log|imap_mail|mb_send_mail)\s{0,4}\(/ nocase
  condition:
    filesize < 256KB and all of them
}

rule php_grows_back
{
  meta:
    id = "BKL-WEB-0018"
    threat_name = "WebShell.PHP.Undying"
    category = "webshell"
    severity = "high"
    confidence = "high"
    description = "PHP that deletes its own file and keeps writing another one from memory for ever"
    reference = "https://attack.mitre.org/techniques/T1505/003/"
    false_positives = "none known"
  strings:
    $php = /<\?(php|=)/ nocase
    $stay = /ignore_user_abort\s{0,4}\(\s{0,4}(true|1)\s{0,4}\)/ nocase
    $delete = /unlink\s{0,4}\(\s{0,4}(__FILE__|\$_SERVER\s{0,2}\[\s{0,2}['"]SCRIPT_FILENAME['"])/ nocase
    $for_ever = /while\s{0,4}\(\s{0,4}(1|true)\s{0,4}\)/ nocase
    $write = "file_put_contents" nocase
  condition:
    filesize < 64KB and all of them
}

rule php_inside_picture
{
  meta:
    id = "BKL-WEB-0019"
    threat_name = "WebShell.PHP.Picture"
    category = "webshell"
    severity = "high"
    confidence = "high"
    description = "A file that begins like a picture and holds PHP that hands the request to an interpreter"
    reference = "https://attack.mitre.org/techniques/T1036/008/"
    false_positives = "none known"
  strings:
    $php = /<\?(php|=)/ nocase
    $run = /\b(eval|assert|system|passthru|shell_exec|exec|popen|include|create_function)\s{0,4}\(\s{0,4}[^;\n]{0,60}\$_(GET|POST|REQUEST|COOKIE|SERVER|FILES)\b/ nocase
  condition:
    filesize < 2MB and (uint32be(0) == 0x47494638 or uint32be(0) == 0x89504E47 or uint16be(0) == 0xFFD8 or uint16be(0) == 0x424D) and
    $php and $run
}

rule php_runs_pictures
{
  meta:
    id = "BKL-WEB-0020"
    threat_name = "WebShell.Apache.PictureHandler"
    category = "webshell"
    severity = "high"
    confidence = "high"
    description = "Settings of a web server that make it run pictures or texts as PHP, or something hidden before every page"
    reference = "https://attack.mitre.org/techniques/T1505/003/"
    false_positives = "none known"
  strings:
    $type = /\bAdd(Type|Handler)\s{1,8}(application\/x-httpd-php[0-9]?|php[0-9]{1,2}-script|x-httpd-php[0-9]?)[^\n]{0,80}\.(jpe?g|png|gif|ico|txt|css|bmp)\b/ nocase
    $files = /<Files(Match)?\s{1,8}[^>\n]{0,80}\b(jpe?g|png|gif|ico|txt|bmp)\b[^>\n]{0,80}>[\s]{0,40}(ForceType|SetHandler)\s{1,8}["']?application\/x-httpd-php/ nocase
    $before = /\bauto_(pre|ap)pend_file[\s=]{1,8}["']?[^\s"']{0,120}\.(jpe?g|png|gif|ico|txt|bmp)\b/ nocase
    $stream = /\bauto_(pre|ap)pend_file[\s=]{1,8}["']?(php:\/\/input|data:)/ nocase
  condition:
    filesize < 64KB and any of them
}

rule php_globals_in_hex
{
  meta:
    id = "BKL-WEB-0021"
    threat_name = "Suspicious.PHP.HexGlobals"
    category = "webshell"
    // Reported, not acted on: commercial obfuscators write this too.
    severity = "low"
    confidence = "medium"
    description = "PHP that reaches its variables and functions through names in hexadecimal escapes"
    reference = "https://attack.mitre.org/techniques/T1027/"
    false_positives = "commercial software that was run through an obfuscator"
  strings:
    $php = /<\?(php|=)/ nocase
    $globals = /\$\{\s{0,4}"(\\x[0-9a-f]{2}|[ABGLOS]){7}"\s{0,4}\}\s{0,4}\[\s{0,4}"(\\x[0-9a-f]{2}|\w){2,40}"\s{0,4}\]/ nocase
  condition:
    filesize < 1MB and $php and #globals > 4
}
