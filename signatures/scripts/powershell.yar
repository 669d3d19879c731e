/* PowerShell that fetches or unpacks what it runs. */

rule powershell_hidden_download
{
  meta:
    id = "BKL-SCR-0005"
    threat_name = "Downloader.PowerShell"
    category = "downloader"
    severity = "high"
    confidence = "high"
    description = "A hidden PowerShell that downloads text and executes it without writing it to disk"
    reference = "https://attack.mitre.org/techniques/T1059/001/"
    false_positives = "installers of administrators that hide their window; visible ones do not match"
  strings:
    $hidden = /-w(in(dowstyle)?)?\s{1,4}(hidden|1)\b/ ascii wide nocase
    $address = "http" ascii wide nocase
    // One string for each way: each has a fixed piece, by which other files are told apart quickly.
    $web_client = /Net\.WebClient\s{0,4}\)?\s{0,4}\)?\.DownloadString\s{0,4}\(?\s{0,4}['"]?https?:/ ascii wide nocase
    $request = /\bInvoke-WebRequest\s{0,4}\(?\s{0,4}['"]?https?:/ ascii wide nocase
    $rest = /\bInvoke-RestMethod\s{0,4}\(?\s{0,4}['"]?https?:/ ascii wide nocase
    $request_short = /\biwr\s{0,4}\(?\s{0,4}['"]?https?:/ ascii wide nocase
    $rest_short = /\birm\s{0,4}\(?\s{0,4}['"]?https?:/ ascii wide nocase
    $execute = /\b(iex|Invoke-Expression)\b/ ascii wide nocase
  condition:
    filesize < 256KB and $hidden and $address and $execute and
    any of ($web_client, $request, $rest, $request_short, $rest_short)
}

rule powershell_encoded_hidden
{
  meta:
    id = "BKL-SCR-0006"
    threat_name = "Loader.PowerShell.Encoded"
    category = "downloader"
    severity = "medium"
    confidence = "medium"
    description = "A hidden PowerShell, without profile, started with a long encoded command"
    reference = "https://attack.mitre.org/techniques/T1027/010/"
    false_positives = "deployment tools that encode their commands and hide the window"
  strings:
    $start = /powershell(\.exe)?['"]?[^\n]{0,120}-w(in(dowstyle)?)?\s{1,4}(hidden|1)\b[^\n]{0,120}-e(nc(odedcommand)?)?\s{1,4}['"]?[A-Za-z0-9+\/]{160}/ ascii wide nocase
    $no_profile = /-nop(rofile)?\b/ ascii wide nocase
  condition:
    filesize < 1MB and all of them
}

rule powershell_memory_loader
{
  meta:
    id = "BKL-SCR-0007"
    threat_name = "Loader.PowerShell.Memory"
    category = "loader"
    severity = "high"
    confidence = "high"
    description = "PowerShell that allocates executable memory, copies decoded bytes there and starts a thread on them"
    reference = "https://attack.mitre.org/techniques/T1620/"
    false_positives = "frameworks for penetration tests"
  strings:
    $allocate = "VirtualAlloc" ascii wide nocase
    $thread = /\b(CreateThread|CreateRemoteThread|QueueUserAPC)\b/ ascii wide nocase
    $copy = /Marshal\]::Copy\s{0,4}\(/ ascii wide nocase
    $decode = /(FromBase64String\s{0,4}\(|\[Byte\[\]\]\s{0,4}\$\w{1,32}\s{0,4}=\s{0,4}(@\()?0x)/ ascii wide nocase
    $binding = /(\[DllImport\(|GetDelegateForFunctionPointer|Add-Type\b)/ ascii wide nocase
  condition:
    filesize < 2MB and all of them
}
