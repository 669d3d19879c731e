/* Files that make a signed program of Windows run their code. */

rule scriptlet_starts_program
{
  meta:
    id = "BKL-DRP-2021"
    threat_name = "Dropper.Scriptlet"
    category = "dropper"
    severity = "high"
    confidence = "high"
    description = "A COM scriptlet whose registration starts a program"
    reference = "https://attack.mitre.org/techniques/T1218/010/"
    false_positives = "none known: honest scriptlets do nothing while they are registered"
  strings:
    $head = /<scriptlet>/ nocase
    $registration = /<registration\b/ nocase
    $object = /(ActiveXObject|CreateObject)\s{0,4}\(\s{0,4}['"](WScript\.Shell|Shell\.Application|MSXML2\.XMLHTTP)['"]/ nocase
    $start = /\.\s{0,2}(Run|Exec|ShellExecute|Open)\s{0,4}\(?\s{0,4}['"A-Za-z_]/ nocase
  condition:
    filesize < 1MB and all of them
}

rule stylesheet_starts_program
{
  meta:
    id = "BKL-DRP-2022"
    threat_name = "Dropper.XSL"
    category = "dropper"
    severity = "high"
    confidence = "high"
    description = "A style sheet with a script that starts a program"
    reference = "https://attack.mitre.org/techniques/T1220/"
    false_positives = "none known"
  strings:
    $sheet = /<(xsl:)?stylesheet\b/ nocase
    $script = /<(ms|msxsl|user):script\b/ nocase
    $start = /(ActiveXObject|CreateObject)\s{0,4}\(\s{0,4}['"](WScript\.Shell|Shell\.Application)['"][^\n]{0,200}\.\s{0,2}(Run|Exec|ShellExecute)\b/ nocase
    $apart = /\br\.(Run|Exec)\s{0,4}\(/ nocase
    $object = /(ActiveXObject|CreateObject)\s{0,4}\(\s{0,4}['"](WScript\.Shell|Shell\.Application)['"]/ nocase
  condition:
    filesize < 1MB and $sheet and $script and ($start or ($object and $apart))
}

rule build_file_runs_code_from_memory
{
  meta:
    id = "BKL-DRP-2023"
    threat_name = "Loader.MSBuild"
    category = "loader"
    severity = "high"
    confidence = "high"
    description = "A build file with a task in source form that runs bytes from memory or loads a decoded assembly"
    reference = "https://attack.mitre.org/techniques/T1127/001/"
    false_positives = "none known"
  strings:
    $task = /<UsingTask\b[^>]{0,200}TaskFactory\s{0,2}=\s{0,2}["'](Roslyn)?CodeTaskFactory["']/ nocase
    $memory = /\b(VirtualAlloc|NtAllocateVirtualMemory|VirtualProtect)\b/
    $decoded = /Assembly\.Load\s{0,4}\([^\n]{0,80}(FromBase64String|Decompress|GZipStream|DownloadData)/
    $thread = /\b(CreateThread|QueueUserAPC|GetDelegateForFunctionPointer|EntryPoint)\b/
  condition:
    filesize < 8MB and $task and ($memory or $decoded) and $thread
}

rule setup_information_runs_scriptlet
{
  meta:
    id = "BKL-DRP-2024"
    threat_name = "Dropper.INF"
    category = "dropper"
    severity = "high"
    confidence = "high"
    description = "A setup information file that has a scriptlet from the network registered, or a command run, by the profile installer"
    reference = "https://attack.mitre.org/techniques/T1218/003/"
    false_positives = "none known"
  strings:
    $section = /\[DefaultInstall(_SingleUser|\.Windows7)?\]/ nocase
    $scriptlet = /scrobj\.dll\s{0,4},\s{0,4}NI\s{0,4},\s{0,4}(https?:|\\\\)/ nocase
    $profile = /\n\s{0,8}RunPreSetupCommands\s{0,4}=/ nocase
    $command = /\n[^\n=]{0,60}\b(powershell|mshta|cmd(\.exe)?\s{1,4}\/c|regsvr32)\b[^\n]{0,200}(https?:|-e(nc\w{0,14})?\s[A-Za-z0-9+\/]{32})/ nocase
  condition:
    filesize < 256KB and $section and ($scriptlet or ($profile and $command))
}
