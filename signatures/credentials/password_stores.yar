/* Scripts that empty the password stores of browsers and other programs. */

rule browser_passwords_decrypted_and_sent
{
  meta:
    id = "BKL-CRE-0008"
    threat_name = "Stealer.Browser.Chromium"
    category = "credential_theft"
    severity = "high"
    confidence = "high"
    description = "A script that decrypts the passwords saved in a Chromium browser and sends them away"
    reference = "https://attack.mitre.org/techniques/T1555/003/"
    false_positives = "none known: importers of password managers do not send what they read"
  strings:
    $store = /['"\\\/](Login Data|Web Data)['"\\]/ nocase
    $key = /['"\\\/]Local State['"]/ nocase
    $secret = /(os_crypt|encrypted_key|CryptUnprotectData)/
    $values = /\b(password_value|encrypted_value)\b/ nocase
    $send = /(discord(app)?\.com\/api\/webhooks\/|api\.telegram\.org\/bot|webhook\.site\/|\.ngrok|requestbin|pipedream\.net|store\d{0,2}\.gofile\.io|api\.gofile\.io|file\.io\/|transfer\.sh|\.upload\w{0,8}\s{0,2}\(|requests\.post\s{0,2}\(|UploadFile\s{0,2}\(|smtplib\.SMTP)/ nocase
  condition:
    filesize < 1MB and uint16(0) != 0x5A4D and all of them
}

rule firefox_passwords_sent
{
  meta:
    id = "BKL-CRE-0009"
    threat_name = "Stealer.Browser.Firefox"
    category = "credential_theft"
    severity = "high"
    confidence = "medium"
    description = "A script that takes the password database of Firefox together with its key and sends it away"
    reference = "https://attack.mitre.org/techniques/T1555/003/"
    false_positives = "backup scripts that copy a whole profile do not name these two files"
  strings:
    $logins = /['"\\\/]logins\.json\b/ nocase
    $key = /['"\\\/]key[34]\.db\b/ nocase
    $profiles = /(Mozilla[\\\/]{1,4}Firefox|\.mozilla|Firefox[\\\/]{1,4}Profiles)/ nocase
    $send = /(discord(app)?\.com\/api\/webhooks\/|api\.telegram\.org\/bot|webhook\.site\/|\.ngrok|requestbin|pipedream\.net|store\d{0,2}\.gofile\.io|api\.gofile\.io|file\.io\/|transfer\.sh|\.upload\w{0,8}\s{0,2}\(|requests\.post\s{0,2}\(|UploadFile\s{0,2}\(|smtplib\.SMTP)/ nocase
    $shell_send = /\bcurl\s[^\n]{0,120}(-F\s|-T\s|--upload-file|--data-binary)[^\n]{0,160}https?:/
  condition:
    filesize < 1MB and uint16(0) != 0x5A4D and $logins and $key and $profiles and any of ($send, $shell_send)
}

rule chat_tokens_sent
{
  meta:
    id = "BKL-CRE-0010"
    threat_name = "Stealer.Discord"
    category = "credential_theft"
    severity = "high"
    confidence = "high"
    description = "A script that looks for sign-in tokens in the files of a chat program and sends them away"
    reference = "https://attack.mitre.org/techniques/T1528/"
    false_positives = "none known"
  strings:
    $store = /Local Storage['"]?\s{0,2}[,\/\\]{1,4}\s{0,2}['"]?leveldb/ nocase
    $programs = /\b(discordcanary|discordptb|Lightcord|discord)\b/ nocase
    $token = /\{24,?2?\d?\}\\?\.\[\\?\\w-\]\{6\}|mfa\\?\.\[\\?\\w|dQw4w9WgXcQ/
    $send = /(discord(app)?\.com\/api\/(v\d{1,2}\/)?(webhooks\/|users\/@me)|api\.telegram\.org\/bot|requests\.post\s{0,2}\(|urlopen\s{0,2}\()/ nocase
  condition:
    filesize < 1MB and uint16(0) != 0x5A4D and all of them
}

rule wallets_collected_and_sent
{
  meta:
    id = "BKL-CRE-0011"
    threat_name = "Stealer.Wallets"
    category = "credential_theft"
    severity = "high"
    confidence = "high"
    description = "A script that collects the wallets of several programs and sends them away"
    reference = "https://attack.mitre.org/techniques/T1005/"
    false_positives = "none known: backup programs do not send wallets to a web hook"
  strings:
    $core = /['"\\\/]wallet\.dat\b/ nocase
    $exodus = /Exodus['"]?\s{0,2}[,\/\\]{1,4}\s{0,2}['"]?exodus\.wallet/ nocase
    $electrum = /Electrum(-LTC)?['"]?\s{0,2}[,\/\\]{1,4}\s{0,2}['"]?wallets/ nocase
    $ethereum = /Ethereum['"]?\s{0,2}[,\/\\]{1,4}\s{0,2}['"]?keystore/ nocase
    $atomic = /atomic['"]?\s{0,2}[,\/\\]{1,4}\s{0,2}['"]?Local Storage/ nocase
    $metamask = /n.?kbihfbeogaeaoehlefnkodbefgpgknn/ nocase
    $phantom = /b.?fnaelmomeimhlpmgjnjophhpkkoljpa/ nocase
    $send = /(discord(app)?\.com\/api\/webhooks\/|api\.telegram\.org\/bot|webhook\.site|gofile\.io|transfer\.sh|requests\.post\s{0,2}\(|\.upload\w{0,8}\s{0,2}\(|\bcurl\s[^\n]{0,120}(-F\s|-T\s))/ nocase
  condition:
    filesize < 1MB and uint16(0) != 0x5A4D and $send and 3 of ($core, $exodus, $electrum, $ethereum, $atomic, $metamask, $phantom)
}

rule keychain_dumped_and_sent
{
  meta:
    id = "BKL-CRE-0012"
    threat_name = "Stealer.Keychain"
    category = "credential_theft"
    severity = "high"
    confidence = "high"
    description = "A script that reads the keychain of macOS or asks for its password in a false dialogue, and sends what it gets away"
    reference = "https://attack.mitre.org/techniques/T1555/001/"
    false_positives = "none known"
  strings:
    $dump = /\bsecurity\s{1,4}dump-keychain\s[^\n]{0,20}-d\b/ nocase
    $browser = /\bfind-generic-password\s[^\n]{0,80}(Chrome|Chromium|Brave|Microsoft Edge|Opera|Vivaldi)\b/ nocase
    $file = /\b(cp|ditto|zip|tar|cat)\s[^\n]{0,80}Keychains\/login\.keychain(-db)?/ nocase
    $dialogue = /display dialog[^\n]{0,300}with hidden answer/ nocase
    $verified = /\bdscl\s{1,4}(\/Local\/Default|\.|\/Search)\s{1,4}-authonly\b/ nocase
    $send = /(\bcurl\s[^\n]{0,160}(-F\s|-T\s|-d\s|--data|--upload-file|-X\s{0,2}POST)|api\.telegram\.org\/bot)/
  condition:
    filesize < 1MB and $send and ($dump or $browser or ($dialogue and ($verified or $file)))
}
