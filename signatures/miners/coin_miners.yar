/* Coin miners: their settings, and scripts that install them behind somebody's back. */

rule miner_settings
{
  meta:
    id = "BKL-MIN-0001"
    threat_name = "PUA.Miner.Settings"
    category = "miner"
    // Reported, not acted on: mining on one's own machine is allowed.
    severity = "low"
    confidence = "high"
    description = "Settings of a Monero miner with a pool and a wallet"
    reference = "https://attack.mitre.org/techniques/T1496/"
    false_positives = "miners that the owner of the machine wants"
  strings:
    $pools = /"pools"\s{0,8}:\s{0,8}\[/
    $donation = /"donate-level"\s{0,8}:/
    $wallet = /"user"\s{0,8}:\s{0,8}"[48][0-9AB][1-9A-HJ-NP-Za-km-z]{93}/
  condition:
    filesize < 128KB and all of them
}

rule miner_installer
{
  meta:
    id = "BKL-MIN-0002"
    threat_name = "Dropper.Shell.Miner"
    category = "miner"
    severity = "high"
    confidence = "high"
    description = "A shell script that fetches a miner, starts it on a pool and makes sure it comes back"
    reference = "https://attack.mitre.org/techniques/T1496/"
    false_positives = "none known: honest installers do not hide in a crontab"
  strings:
    $fetch = /\b(curl|wget)\b[^\n]{0,160}https?:/
    $pool = /stratum\+(tcp|ssl):\/\/[a-z0-9.-]{4,80}/
    $wallet = /(-u|--user)[ =][48][0-9AB][1-9A-HJ-NP-Za-km-z]{93}/
    $executable = /chmod\s{1,4}(\+x|[0-7]{0,1}7[0-7]{2})\b/
    $persistence = /(\bcrontab\b|\/etc\/cron|\/etc\/systemd\/system\/|\/etc\/rc\.local|\.bashrc|\/etc\/ld\.so\.preload)/
    $hiding = /(>\s{0,2}\/dev\/null\s{1,4}2>&1|\bnohup\b|\bpkill\b|history\s{1,2}-c)/
  condition:
    filesize < 256KB and $fetch and ($pool or $wallet) and $executable and $persistence and $hiding
}
