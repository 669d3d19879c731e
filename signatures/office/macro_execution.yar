/* VBA that runs when a document is opened and starts or fetches something. Text rules: the scanner unpacks macro source. */

private rule vba_that_starts_by_itself
{
  strings:
    $sub = /\bSub\s{1,4}(Auto_?(Open|Exec|Close|New|Exit)|Document_?(Open|Close|New)|Workbook_?(Open|Activate|BeforeClose))\s{0,4}\(/ nocase
  condition:
    filesize < 1MB and $sub
}

rule macro_starts_interpreter
{
  meta:
    id = "BKL-OFF-0001"
    threat_name = "Macro.VBA.Shell"
    category = "macro"
    severity = "high"
    confidence = "high"
    description = "A macro that runs when the document is opened and starts an interpreter or a proxy for one"
    reference = "https://attack.mitre.org/techniques/T1204/002/"
    false_positives = "in-house templates that start a batch file on opening"
  strings:
    $start = /(\bShell\b|\.Run\b|\.Exec\b|\bShellExecute[AW]?\b)[^\n]{0,60}\b(powershell|pwsh|mshta|wscript|cscript|regsvr32|certutil|bitsadmin)\b/ nocase
    $hidden = /(\bShell\b|\.Run\b|\.Exec\b|\bShellExecute[AW]?\b)[^\n]{0,60}\bcmd(\.exe)?\s{1,4}\/[ckv]\b[^\n]{0,200}(\bvbHide\b|,\s{0,4}(0|False)\b|https?:|%(temp|tmp|appdata|public)%)/ nocase
  condition:
    vba_that_starts_by_itself and any of them
}

rule macro_downloads_with_urlmon
{
  meta:
    id = "BKL-OFF-0002"
    threat_name = "Macro.VBA.Downloader"
    category = "macro"
    severity = "high"
    confidence = "high"
    description = "A macro that runs when the document is opened, downloads a file through urlmon and starts something"
    reference = "https://attack.mitre.org/techniques/T1105/"
    false_positives = "add-ins that update themselves when a workbook is opened"
  strings:
    $declared = /\bDeclare\s{1,4}(PtrSafe\s{1,4})?Function\s[^\n]{1,80}\bLib\s{1,4}"urlmon(\.dll)?"/ nocase
    $download = "URLDownloadToFile" nocase
    $start = /(\bShell\s{0,4}\(?|\.Run\b|\.Exec\b|\bShellExecute[AW]?\b|CreateProcess[AW]?\b)/ nocase
  condition:
    vba_that_starts_by_itself and all of them
}

rule macro_creates_process_with_wmi
{
  meta:
    id = "BKL-OFF-0003"
    threat_name = "Macro.VBA.WMI"
    category = "macro"
    severity = "high"
    confidence = "high"
    description = "A macro that runs when the document is opened and creates a process through WMI, so that Office is not its parent"
    reference = "https://attack.mitre.org/techniques/T1047/"
    false_positives = "none known: inventory macros query WMI but create nothing"
  strings:
    $moniker = /(GetObject\s{0,4}\(\s{0,4}"winmgmts:|WbemScripting\.SWbemLocator)/ nocase
    $class = /Win32_Process(Startup)?\b/ nocase
    $create = /\.Create\b\s{0,4}\(?[^\n]{1,80},/ nocase
  condition:
    vba_that_starts_by_itself and all of them
}

rule macro_saves_download_and_starts_it
{
  meta:
    id = "BKL-OFF-0004"
    threat_name = "Macro.VBA.Downloader.Http"
    category = "macro"
    severity = "high"
    confidence = "high"
    description = "A macro that runs when the document is opened, fetches bytes over HTTP, saves them and starts something"
    reference = "https://attack.mitre.org/techniques/T1105/"
    false_positives = "templates that update an installed helper program"
  strings:
    $http = /(MSXML2\.(Server)?XMLHTTP|Microsoft\.XMLHTTP|WinHttp\.WinHttpRequest)/ nocase
    $save = /(\.SaveToFile\b|\bFor\s{1,4}Binary\b)/ nocase
    $start = /(\bShell\b\s{0,4}\(?|\.Run\b|\.Exec\b|\.ShellExecute\b)\s{0,4}\(?\s{0,4}[A-Za-z_"]/ nocase
  condition:
    vba_that_starts_by_itself and all of them
}

rule macro_writes_script_and_starts_it
{
  meta:
    id = "BKL-OFF-0005"
    threat_name = "Macro.VBA.Dropper"
    category = "macro"
    severity = "medium"
    confidence = "medium"
    description = "A macro that runs when the document is opened, writes a script file and starts something"
    reference = "https://attack.mitre.org/techniques/T1059/005/"
    false_positives = "templates that write a batch file to print or copy something and run it on opening"
  strings:
    $write = /(\bFor\s{1,4}(Output|Append|Binary)\b|\.CreateTextFile\b|\.SaveToFile\b)/ nocase
    $script = /[\w%\\"]\.(vbs|vbe|js|jse|wsf|hta|ps1|bat|cmd)"/ nocase
    $start = /(\bShell\b\s{0,4}\(?\s{0,4}["A-Za-z_]|\.Run\b\s{0,4}\(?\s{0,4}["A-Za-z_]|\.ShellExecute\b)/ nocase
  condition:
    vba_that_starts_by_itself and all of them
}

rule macro_runs_code_from_memory
{
  meta:
    id = "BKL-OFF-0006"
    threat_name = "Macro.VBA.Shellcode"
    category = "macro"
    severity = "high"
    confidence = "high"
    description = "A macro that declares the system calls for executable memory, copies bytes there and calls them"
    reference = "https://attack.mitre.org/techniques/T1055/"
    false_positives = "none known: honest macros do not allocate executable memory"
  strings:
    $declared = /\bDeclare\s{1,4}(PtrSafe\s{1,4})?(Function|Sub)\s[^\n]{1,80}\bLib\s{1,4}"(kernel32|ntdll)(\.dll)?"/ nocase
    $allocate = /\b(VirtualAlloc(Ex)?|HeapCreate|NtAllocateVirtualMemory|VirtualProtect)\b/ nocase
    $copy = /\b(RtlMoveMemory|WriteProcessMemory|NtWriteVirtualMemory|RtlCopyMemory)\b/ nocase
    $call = /\b(CreateThread|CreateRemoteThread|QueueUserAPC|EnumSystemLocales[AW]|EnumWindows|CallWindowProc[AW]|CreateTimerQueueTimer|EnumDateFormats[AW])\b/ nocase
  condition:
    filesize < 1MB and all of them
}

rule macro_starts_through_explorer_window
{
  meta:
    id = "BKL-OFF-0007"
    threat_name = "Macro.VBA.ShellWindow"
    category = "macro"
    severity = "high"
    confidence = "high"
    description = "A macro that has the desktop start a program for it, through the class id of ShellBrowserWindow or ShellWindows"
    reference = "https://attack.mitre.org/techniques/T1559/001/"
    false_positives = "none known"
  strings:
    $class = /\bnew:\s{0,4}\{?(C08AFD90-F2A1-11D1-8455-00A0C91F3880|9BA05972-F6A8-11CF-A442-00A0C90A8F39)/ nocase
    $start = /\.Document\.Application\.ShellExecute\b/ nocase
  condition:
    filesize < 1MB and all of them
}

rule macro_installs_itself_to_start
{
  meta:
    id = "BKL-OFF-0008"
    threat_name = "Macro.VBA.Persistence"
    category = "macro"
    severity = "medium"
    confidence = "medium"
    description = "A macro that runs when the document is opened and makes a program start with Windows"
    reference = "https://attack.mitre.org/techniques/T1547/001/"
    false_positives = "templates that register a helper program of the company"
  strings:
    $run_key = /\.RegWrite\b[^\n]{0,80}\\CurrentVersion\\Run(Once)?\\/ nocase
    $startup = /(\bFor\s{1,4}(Output|Binary)\b|\.CreateTextFile\b|\.SaveToFile\b|\bFileCopy\b|\.CopyFile\b)[^\n]{0,160}\\Programs\\Startup\\/ nocase
    $task = /(\bShell\b|\.Run\b|\.Exec\b)[^\n]{0,40}schtasks(\.exe)?\s{1,4}\/create\b/ nocase
  condition:
    vba_that_starts_by_itself and any of them
}
