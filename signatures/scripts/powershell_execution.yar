/* PowerShell that loads, fetches or keeps code in unusual ways. */

rule powershell_loads_decoded_assembly
{
  meta:
    id = "BKL-SCR-2011"
    threat_name = "Loader.PowerShell.Assembly"
    category = "loader"
    severity = "high"
    confidence = "high"
    description = "PowerShell that loads a program from Base64 in its text or from a download and calls into it"
    reference = "https://attack.mitre.org/techniques/T1620/"
    false_positives = "self-contained tools that carry a library of theirs in the script and call its entry point"
  strings:
    $text = /Assembly\]::Load\s{0,4}\(\s{0,4}\[?(System\.)?Convert\]?::FromBase64String\s{0,4}\(\s{0,4}["']TVqQ/ ascii wide nocase
    $variable = /FromBase64String\s{0,4}\(\s{0,4}["']TVqQ/ ascii wide
    $download = /Assembly\]::Load\s{0,4}\(\s{0,4}\(?\s{0,4}(\(New-Object\s{1,4}(System\.)?Net\.WebClient\)\.DownloadData|\(?(iwr|Invoke-WebRequest)\b)/ ascii wide nocase
    $load = /Assembly\]::Load\s{0,4}\(/ ascii wide nocase
    $call = /(\.EntryPoint\.Invoke\s{0,2}\(|\.EntryPoint\b[^\n]{0,20}\.Invoke|\.GetMethod\s{0,2}\([^\n]{0,80}\.Invoke\s{0,2}\(|\]::(Main|Run|Start|Execute)\s{0,2}\()/ ascii wide nocase
  condition:
    filesize < 16MB and uint16(0) != 0x5A4D and $call and ($text or $download or ($variable and $load))
}

rule powershell_runs_text_of_bare_address
{
  meta:
    id = "BKL-SCR-2012"
    threat_name = "Downloader.PowerShell.Address"
    category = "downloader"
    severity = "high"
    confidence = "high"
    description = "PowerShell that executes a text downloaded from an address without a name, a paste site or a tunnel"
    reference = "https://attack.mitre.org/techniques/T1059/001/"
    false_positives = "laboratories that install machines from an address without a name; private address ranges do not match"
  strings:
    $address = "http" ascii wide nocase
    $web_client = "DownloadString" ascii wide nocase
    $request = "Invoke-WebRequest" ascii wide nocase
    $rest = "Invoke-RestMethod" ascii wide nocase
    $request_short = /\biwr[\s(]{1,8}['"]?https?:/ ascii wide nocase
    $rest_short = /\birm[\s(]{1,8}['"]?https?:/ ascii wide nocase
    $call = /\b(iex|Invoke-Expression)\b[^\n]{0,80}(DownloadString\s{0,2}\(|\biwr\b|\birm\b|\bcurl\b|Invoke-WebRequest|Invoke-RestMethod)[^\n]{0,60}https?:\/\/([a-z0-9-]{1,60}\.(ngrok[a-z.-]{2,12}|trycloudflare\.com|serveo\.net|loca\.lt)|(www\.)?(pastebin\.com|paste\.ee|hastebin\.com|rentry\.co|transfer\.sh|termbin\.com|ix\.io|cdn\.discordapp\.com)\/|([2-9]|1[13-9]|12[0-689]|[2-9]\d|1[013-689]\d|17[013-9]|2\d\d)\.\d{1,3}\.\d{1,3}\.\d{1,3}[:\/])/ ascii wide nocase
    $pipe = /(DownloadString\s{0,2}\(|\biwr\b|\birm\b|Invoke-WebRequest|Invoke-RestMethod)[^\n]{0,60}https?:\/\/([a-z0-9-]{1,60}\.(ngrok[a-z.-]{2,12}|trycloudflare\.com|serveo\.net|loca\.lt)|(www\.)?(pastebin\.com|paste\.ee|hastebin\.com|rentry\.co|transfer\.sh|termbin\.com|ix\.io|cdn\.discordapp\.com)\/|(2\d\d|[3-9]\d|1[3-689]\d)\.\d{1,3}\.\d{1,3}\.\d{1,3}[:\/])[^\n|]{0,160}\|\s{0,4}(iex|Invoke-Expression)\b/ ascii wide nocase
  condition:
    filesize < 256KB and $address and any of ($web_client, $request, $rest, $request_short, $rest_short) and any of ($call, $pipe)
}

rule powershell_records_keys
{
  meta:
    id = "BKL-SCR-2013"
    threat_name = "Spyware.PowerShell.Keys"
    category = "spyware"
    severity = "high"
    confidence = "high"
    description = "PowerShell that asks for the state of every key again and again and keeps or sends what was typed"
    reference = "https://attack.mitre.org/techniques/T1056/001/"
    false_positives = "none known"
  strings:
    $state = /\bGetAsyncKeyState\b/ ascii wide nocase
    $names = /\b(GetKeyboardState|MapVirtualKey|ToUnicode|GetForegroundWindow|\[System\.Windows\.Forms\.Keys\])/ ascii wide nocase
    $loop = /for\s{0,4}\(\s{0,4}\$\w{1,32}\s{0,4}=\s{0,4}\d{1,2}\s{0,4};[^\n;]{1,40}-l[et]\s{1,4}2\d\d/ ascii wide nocase
    $keep = /(AppendAllText|Out-File|Add-Content|Send-MailMessage|SmtpClient|UploadString|Invoke-WebRequest|Invoke-RestMethod)/ ascii wide nocase
  condition:
    filesize < 512KB and uint16(0) != 0x5A4D and all of them
}

rule script_bypasses_account_control
{
  meta:
    id = "BKL-SCR-2014"
    threat_name = "Exploit.UAC.Handler"
    category = "exploit"
    severity = "high"
    confidence = "high"
    description = "A script that registers a handler of its own and starts a program of Windows which runs it with more rights"
    reference = "https://attack.mitre.org/techniques/T1548/002/"
    false_positives = "notes of penetration testers"
  strings:
    $handler = /Software\\Classes\\(ms-settings|mscfile|exefile|Folder|AppX[a-z0-9]{16,40})\\shell\\(open|runas)\\command/ ascii wide nocase
    $write = /(New-Item(Property)?|Set-ItemProperty|\breg(\.exe)?\s{1,4}add\b|RegWrite|SetValue|winreg\.)/ ascii wide nocase
    $start = /\b(fodhelper|computerdefaults|eventvwr|sdclt|slui|wsreset|CompMgmtLauncher)(\.exe)?\b/ ascii wide nocase
  condition:
    filesize < 256KB and uint16(0) != 0x5A4D and all of them
}

rule script_subscribes_to_events
{
  meta:
    id = "BKL-SCR-2015"
    threat_name = "Persistence.WMI"
    category = "persistence"
    severity = "medium"
    confidence = "high"
    description = "A script that has WMI run a command or script whenever an event occurs, and hides or fetches what is run"
    reference = "https://attack.mitre.org/techniques/T1546/003/"
    false_positives = "monitoring tools that run a script of theirs on events"
  strings:
    $filter = "__EventFilter" ascii wide nocase
    $consumer = /\b(CommandLineEventConsumer|ActiveScriptEventConsumer)\b/ ascii wide nocase
    $binding = /\b__FilterToConsumerBinding\b/ ascii wide nocase
    $command = /(CommandLineTemplate|ScriptText)\b[^\n]{0,200}(-e(nc\w{0,14})?\s|-w(in\w{0,10})?\s{1,4}(hidden|1)|\biex\b|DownloadString|FromBase64String|mshta|regsvr32|\\Temp\\|\\Users\\Public)/ ascii wide nocase
  condition:
    filesize < 512KB and uint16(0) != 0x5A4D and all of them
}

rule script_schedules_hidden_powershell
{
  meta:
    id = "BKL-SCR-2016"
    threat_name = "Persistence.Task.PowerShell"
    category = "persistence"
    severity = "high"
    confidence = "medium"
    description = "A script that has a hidden PowerShell with an encoded or downloaded command start again and again"
    reference = "https://attack.mitre.org/techniques/T1053/005/"
    false_positives = "none known: deployment tools name a script file in their tasks"
  strings:
    $task = /schtasks(\.exe)?\s{1,4}\/create\b[^\n]{0,200}powershell[^\n]{0,200}(-e(nc\w{0,14})?\s{1,4}[A-Za-z0-9+\/]{24}|\biex\b|DownloadString|FromBase64String)/ ascii wide nocase
    $action = /New-ScheduledTaskAction\s[^\n]{0,80}(powershell|pwsh)[^\n]{0,200}(-e(nc\w{0,14})?\s{1,4}[A-Za-z0-9+\/]{24}|\biex\b|DownloadString|FromBase64String)/ ascii wide nocase
    $run_key = /CurrentVersion\\Run(Once)?["'\s][^\n]{0,120}powershell[^\n]{0,200}(-e(nc\w{0,14})?\s{1,4}[A-Za-z0-9+\/]{24}|\biex\b|DownloadString|FromBase64String)/ ascii wide nocase
  condition:
    filesize < 512KB and any of them
}
