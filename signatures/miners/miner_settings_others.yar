/* Settings of further miners, and miners in pages and containers. */

rule miner_settings_stratum
{
  meta:
    id = "BKL-MIN-0008"
    threat_name = "PUA.Miner.StratumSettings"
    category = "miner"
    // Reported, not acted on: mining on one's own machine is allowed.
    severity = "low"
    confidence = "high"
    description = "Settings of a coin miner with a stratum pool, a user and an algorithm"
    reference = "https://attack.mitre.org/techniques/T1496/"
    false_positives = "miners that the owner of the machine wants"
  strings:
    $pool = /["']?(url|pool|pool_address)["']?\s{0,4}[=:]\s{0,4}["']stratum[12]?\+(tcp|ssl|tls|udp):\/\/[a-z0-9.-]{4,80}:[0-9]{2,5}/ nocase
    $user = /["']?(user|wallet|wallet_address)["']?\s{0,4}[=:]\s{0,4}["'][A-Za-z0-9._-]{8,128}["']/ nocase
    $work = /["']?(algo|algorithm|coin|intensity|threads|currency|gpu-threads|use_nicehash)["']?\s{0,4}[=:]/ nocase
  condition:
    filesize < 64KB and all of them
}

rule miner_in_page
{
  meta:
    id = "BKL-MIN-0009"
    threat_name = "PUA.Miner.Page"
    category = "miner"
    severity = "medium"
    confidence = "high"
    description = "A page or script that has visitors mine coins"
    reference = "https://attack.mitre.org/techniques/T1496/"
    false_positives = "none known: the services behind these names are closed"
  strings:
    $create = /new\s{1,4}(CoinHive|Client|CryptoLoot|CRLT|deepMiner|CoinImp|WMP|JSEcoin|PPoi)\.(Anonymous|User|Token)\s{0,2}\(\s{0,2}['"`]/
    $start = /\.start\s{0,2}\(/
    $source = /(coinhive|coin-hive|cryptoloot|crypto-loot|coinimp|deepminer|webmine|ppoi|hashing\.win|hostingcloud|authedmine)[\w.-]{0,40}\.(min\.js|js|com|org|win|racing)/ nocase
  condition:
    filesize < 1MB and all of them
}

rule miner_in_container
{
  meta:
    id = "BKL-MIN-0010"
    threat_name = "PUA.Miner.Container"
    category = "miner"
    // Reported, not acted on: mining on one's own machine is allowed.
    severity = "low"
    confidence = "medium"
    description = "A container recipe, compose file or manifest that runs a coin miner on a pool"
    reference = "https://attack.mitre.org/techniques/T1610/"
    false_positives = "miners that the owner of the cluster wants"
  strings:
    $image = /\b(image\s{0,2}:|FROM)\s{1,4}["']?[\w.\/:-]{0,80}(xmrig|xmr-stak|cpuminer|monero-?miner|minerd|lolminer)[\w.\/:-]{0,60}/
    $pool = /(stratum\+(tcp|ssl|tls):\/\/|--donate-level|--url[ =]|["' ]-o["', ]{1,6}[a-z0-9.-]{4,80}:[0-9]{2,5})/
  condition:
    filesize < 64KB and all of them
}
