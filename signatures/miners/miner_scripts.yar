/* Scripts, units and tasks that start coin miners. */

rule miner_kills_rivals
{
  meta:
    id = "BKL-MIN-0003"
    threat_name = "Dropper.Shell.MinerRivals"
    category = "miner"
    severity = "high"
    confidence = "high"
    description = "A script that ends the miners and bots of other intruders before it brings its own"
    reference = "https://attack.mitre.org/techniques/T1496/"
    false_positives = "clean-up scripts of incident responders"
  strings:
    $kill = /\b(pkill|killall|kill\s{1,4}-9|xargs\s{1,4}(-I\s{0,2}%?\s{0,2})?kill)\b/
    $rival_1 = "kdevtmpfsi"
    $rival_2 = "kinsing"
    $rival_3 = /\bxmr-?(ig|stak)\b/
    $rival_4 = /\b(minerd|cpuminer|cryptonight)\b/
    $rival_5 = /\b(watchbog|watchdogs|ksoftirqds|sysrv|sustes|ddgs|qW3xT|pastebin|t00ls|mining\.conf)\b/
    $rival_6 = /\b(monerohash|minexmr|supportxmr|nanopool|dwarfpool|stratum)\b/
    $fetch = /\b(curl|wget)\b[^\n]{0,200}(https?:|\$\w)/
  condition:
    filesize < 256KB and #kill >= 3 and 4 of ($rival_*) and $fetch
}

rule miner_started_hidden
{
  meta:
    id = "BKL-MIN-0004"
    threat_name = "PUA.Miner.HiddenStart"
    category = "miner"
    severity = "medium"
    confidence = "medium"
    description = "A script that starts a Monero miner with pool and wallet in the background and throws its output away"
    reference = "https://attack.mitre.org/techniques/T1496/"
    false_positives = "miners that the owner of the machine wants"
  strings:
    $pool = /(-o|--url)[ =]["']?(stratum\+(tcp|ssl|tls):\/\/)?[a-z0-9.-]{4,80}:[0-9]{2,5}/
    $wallet = /(-u|--user)[ =]["']?[48][0-9AB][1-9A-HJ-NP-Za-km-z]{93}/
    $quiet = /(>\s{0,2}\/dev\/null\s{1,4}2>&1\s{0,4}&|\bnohup\s|\s--background\b|\sscreen\s{1,4}-d)/
  condition:
    filesize < 128KB and all of them
}

rule miner_service_unit
{
  meta:
    id = "BKL-MIN-0005"
    threat_name = "PUA.Miner.Service"
    category = "miner"
    // Reported, not acted on: mining on one's own machine is allowed.
    severity = "low"
    confidence = "high"
    description = "A unit of systemd that keeps a coin miner running"
    reference = "https://attack.mitre.org/techniques/T1543/002/"
    false_positives = "miners that the owner of the machine wants"
  strings:
    $unit = "[Service]"
    $start = /ExecStart\s{0,2}=[^\n]{1,300}(stratum\+(tcp|ssl|tls):|--donate-level\b|--coin[ =]\w{3,12}\b|--algo[ =](rx|cn|kawpow|ethash|argon2|gr)\b|\brandomx\b)/
  condition:
    filesize < 16KB and all of them
}

rule miner_windows_installer
{
  meta:
    id = "BKL-MIN-0006"
    threat_name = "Dropper.Windows.Miner"
    category = "miner"
    severity = "high"
    confidence = "medium"
    description = "A Windows script that fetches a coin miner and makes a task or service of it"
    reference = "https://attack.mitre.org/techniques/T1053/005/"
    false_positives = "set-up scripts of mining communities, run by the owner"
  strings:
    $miner_1 = "xmrig" ascii wide nocase
    $miner_2 = "xmr-stak" ascii wide nocase
    $miner_3 = "nbminer" ascii wide nocase
    $miner_4 = "lolminer" ascii wide nocase
    $miner_5 = "t-rex.exe" ascii wide nocase
    $miner_6 = "phoenixminer" ascii wide nocase
    $miner_7 = "srbminer" ascii wide nocase
    $miner_8 = "nanominer" ascii wide nocase
    $fetch = /(DownloadFile\s{0,2}\(|Invoke-WebRequest\b|\biwr\b|\bcurl(\.exe)?\s|certutil[^\n]{0,30}urlcache|bitsadmin|Start-BitsTransfer)/ ascii wide nocase
    $stays = /(schtasks(\.exe)?\s{1,4}[^\n]{0,40}\/create\b|New-Service\b|Register-ScheduledTask\b|\bsc(\.exe)?\s{1,4}create\b|\bnssm(\.exe)?["']?\s{1,4}install\b|CurrentVersion\\Run\b)/ ascii wide nocase
    $pool = /(stratum\+(tcp|ssl|tls):\/\/|--donate-level|\bpool\.[a-z0-9.-]{4,60}:[0-9]{2,5}|"pools")/ ascii wide nocase
    $wallet = /(-u|--user|-wal|--wallet|"user"|"wallet")[ =:"']{1,4}(0x)?[A-Za-z0-9]{30}/ ascii wide nocase
  condition:
    filesize < 256KB and any of ($miner_*) and $fetch and $stays and $pool and $wallet
}

rule miner_tunes_memory
{
  meta:
    id = "BKL-MIN-0007"
    threat_name = "Dropper.Shell.MinerTuning"
    category = "miner"
    severity = "medium"
    confidence = "medium"
    description = "A script that fetches a release of a Monero miner, reserves huge pages for it and makes it start by itself"
    reference = "https://attack.mitre.org/techniques/T1496/"
    false_positives = "set-up scripts of mining communities, run by the owner"
  strings:
    $release = /https?:\/\/[^\s"']{4,160}xmrig[^\s"']{0,80}\.(tar\.gz|zip|tgz|xz)\b/ nocase
    $pages = /(vm\.nr_hugepages|\bnr_hugepages\b|\bwrmsr\b|msr\.allow_writes)/
    $stays = /(systemctl\s{1,4}(enable|start)|\/etc\/systemd\/system\/|\bcrontab\b|\/etc\/cron|\.profile\b|rc\.local)/
  condition:
    filesize < 128KB and all of them
}
