/* Scripts that take keys and passwords from servers. */

rule shadow_file_sent
{
  meta:
    id = "BKL-CRE-0013"
    threat_name = "Credentials.Shadow"
    category = "credential_theft"
    severity = "high"
    confidence = "high"
    description = "A command that sends the password hashes of a Unix machine away"
    reference = "https://attack.mitre.org/techniques/T1003/008/"
    false_positives = "notes of penetration testers"
  strings:
    $upload = /\b(curl|wget)\s[^\n]{0,160}(-d|--data(-binary|-urlencode)?|-F|--form|-T|--upload-file|--post-file|--body-file)[=\s][^\n]{0,40}@?\/etc\/shadow\b/
    $pipe = /\b(cat|base64|xxd|gzip\s{1,4}-c|tar\s[^\n|]{1,60})\s[^\n|]{0,60}\/etc\/shadow\b[^\n]{0,80}\|\s{0,4}(curl\s|nc\s|ncat\s|netcat\s|wget\s|openssl\s{1,4}s_client)/
    $device = /\/etc\/shadow\s{0,4}>\s{0,4}\/dev\/(tcp|udp)\//
  condition:
    filesize < 256KB and any of them
}

rule ssh_keys_sent
{
  meta:
    id = "BKL-CRE-0014"
    threat_name = "Stealer.SSH"
    category = "credential_theft"
    severity = "high"
    confidence = "high"
    description = "A script that collects private SSH keys and sends them away"
    reference = "https://attack.mitre.org/techniques/T1552/004/"
    false_positives = "none known"
  strings:
    $upload = /\b(curl|wget)\s[^\n]{0,160}(-d|--data(-binary)?|-F|--form|-T|--upload-file|--post-file|--body-file)[=\s][^\n]{0,60}\.ssh\/(id_(rsa|dsa|ecdsa|ed25519)\b[^\.]|\*|config\b)/
    $pipe = /\b(cat|tar|zip|base64|find)\s[^\n|]{0,120}(\.ssh\/(id_|\*)|\bid_rsa\b|\bid_ed25519\b)[^\n]{0,120}\|\s{0,4}(curl\s[^\n]{0,120}(-d|--data|-F|-T|--upload)|nc\s|ncat\s)/
    $python = /open\s{0,2}\([^\n]{0,80}\.ssh[\/'"\\,\s]{1,6}id_(rsa|ed25519)['"]/
    $python_send = /(requests\.post\s{0,2}\(|urlopen\s{0,2}\([^\n]{0,80}data\s{0,2}=|discord(app)?\.com\/api\/webhooks|api\.telegram\.org\/bot)/
  condition:
    filesize < 256KB and ($upload or $pipe or ($python and $python_send))
}

rule ssh_keys_used_to_spread
{
  meta:
    id = "BKL-CRE-0015"
    threat_name = "Worm.SSH"
    category = "worm"
    severity = "high"
    confidence = "high"
    description = "A script that goes through known hosts with the keys it finds and has each run something from the network"
    reference = "https://attack.mitre.org/techniques/T1021/004/"
    false_positives = "none known: tools for many machines take them from an inventory"
  strings:
    $hosts = /known_hosts\b/
    $keys = /(\bid_rsa\b|IdentityFile\b|\.pem\b|id_ed25519)/
    $quiet = /\bssh\s[^\n]{0,160}(StrictHostKeyChecking[= ]no|BatchMode[= ]yes)[^\n]{0,300}\b(curl|wget)\s[^\n]{0,160}\|\s{0,4}(ba)?sh\b/
  condition:
    filesize < 256KB and all of them
}

rule cloud_credentials_sent
{
  meta:
    id = "BKL-CRE-0016"
    threat_name = "Stealer.Cloud"
    category = "credential_theft"
    severity = "high"
    confidence = "high"
    description = "A script that collects the credential files of several cloud tools and sends them away"
    reference = "https://attack.mitre.org/techniques/T1552/001/"
    false_positives = "none known: backups do not pick these files from everywhere"
  strings:
    $aws = /\.aws\/credentials\b/
    $google = /(\.config\/gcloud|application_default_credentials\.json|credentials\.db\b)/
    $azure = /\.azure\/(accessTokens|azureProfile|msal_token_cache)/
    $docker = /\.docker\/config\.json\b/
    $kubernetes = /\.kube\/config\b/
    $git = /\.git-credentials\b/
    $package = /(\.npmrc\b|\.pypirc\b)/
    $netrc = /\/\.netrc\b/
    $send = /(\bcurl\s[^\n]{0,160}(-F\s|-T\s|-d\s|--data|--upload-file)[^\n]{0,160}@|\bwget\s[^\n]{0,120}--post-file|\|\s{0,4}(nc|ncat)\s|api\.telegram\.org\/bot|webhook\.site|discord(app)?\.com\/api\/webhooks)/
  condition:
    filesize < 256KB and $send and 4 of ($aws, $google, $azure, $docker, $kubernetes, $git, $package, $netrc)
}

rule instance_role_sent
{
  meta:
    id = "BKL-CRE-0017"
    threat_name = "Stealer.Cloud.Metadata"
    category = "credential_theft"
    severity = "high"
    confidence = "high"
    description = "A script that asks a cloud machine for the keys of its role and sends them to another address"
    reference = "https://attack.mitre.org/techniques/T1552/005/"
    false_positives = "none known: honest software uses the keys where it is"
  strings:
    $pipe = /169\.254\.169\.254\/latest\/meta-data\/iam\/security-credentials[^\n]{0,160}\|[^\n]{0,80}(curl\s[^\n]{0,80}(-d|--data|-F|-T|-X\s{0,2}POST)|nc\s|ncat\s)/
    $nested = /\bcurl\s[^\n]{0,160}(-d|--data(-binary|-urlencode)?|-F)\s[^\n]{0,60}(\$\(|`)\s{0,2}(curl|wget)\s[^\n]{0,120}169\.254\.169\.254\/latest\/meta-data\/iam\/security-credentials/
    $google = /metadata\.google\.internal\/computeMetadata\/v1\/instance\/service-accounts\/[^\n]{1,60}\/token[^\n]{0,120}\|[^\n]{0,80}(curl\s[^\n]{0,80}(-d|--data|-F|-T|-X\s{0,2}POST)|nc\s|ncat\s)/
  condition:
    filesize < 256KB and any of them
}

rule environment_sent_to_web_hook
{
  meta:
    id = "BKL-CRE-0018"
    threat_name = "Stealer.Environment"
    category = "credential_theft"
    severity = "high"
    confidence = "high"
    description = "A program of a package or build that sends all environment variables to a collecting service"
    reference = "https://attack.mitre.org/techniques/T1552/007/"
    false_positives = "exercises for build security"
  strings:
    $all = /(JSON\.stringify\s{0,2}\(\s{0,2}process\.env\s{0,2}[,)]|querystring\.stringify\s{0,2}\(\s{0,2}process\.env\b|\bdict\s{0,2}\(\s{0,2}os\.environ\s{0,2}\)|json\.dumps\s{0,2}\(\s{0,2}(dict\()?os\.environ|\b(env|printenv)\s{0,4}\|\s{0,4}(base64[^\n|]{0,20}\|\s{0,4})?(curl|nc)\s|-d\s{1,4}["']?(\$\(|`)(env|printenv)\b)/
    $send = /(webhook\.site|pipedream\.net|\.oast\.(fun|pro|live|me|site|online)|interact\.sh|oastify\.com|burpcollaborator\.net|requestbin|\.ngrok|discord(app)?\.com\/api\/webhooks|api\.telegram\.org\/bot|canarytokens\.com|\.dnslog\.cn)/ nocase
  condition:
    filesize < 128KB and all of them
}
