/* The server's half of phishing: scripts that pass on what visitors typed. */

rule phish_post_to_telegram
{
  meta:
    id = "BKL-PHI-0001"
    threat_name = "Phish.PHP.Telegram"
    category = "phishing"
    severity = "high"
    confidence = "high"
    description = "PHP that sends a password, card or one-time code of a form to a Telegram bot"
    reference = "https://attack.mitre.org/techniques/T1567/"
    false_positives = "none known: honest forms report names and questions"
  strings:
    $php = /<\?(php|=)/ nocase
    $bot = /api\.telegram\.org\/bot/ nocase
    $send = /\/?(sendMessage|sendDocument)\b/ nocase
    $secret = /\$_(POST|REQUEST|GET)\s{0,2}\[\s{0,2}['"](pass(wd|word|w|wort|1|2)?|pwd|mot_?de_?passe|contrase\w{1,4}|senha|pin|otp|sms_?code|cvv2?|cvc|csc|ccv|cc_?number|card_?number|cardnum|seed|mnemonic|phrase)['"]\s{0,2}\]/ nocase
  condition:
    filesize < 256KB and all of them
}

rule phish_page_to_messenger
{
  meta:
    id = "BKL-PHI-0002"
    threat_name = "Phish.Page.Messenger"
    category = "phishing"
    severity = "high"
    confidence = "high"
    description = "A page with a password field whose script sends what is typed to a Telegram bot or a Discord hook"
    reference = "https://attack.mitre.org/techniques/T1567/004/"
    false_positives = "none known"
  strings:
    $field = /<input\b[^>]{0,200}type\s{0,2}=\s{0,2}["']?password\b/ nocase
    $bot = /(api\.telegram\.org\/bot|discord(app)?\.com\/api\/webhooks\/)/ nocase
    $send = /(\bfetch\s{0,2}\(|XMLHttpRequest\b|\$\.(ajax|post)\s{0,2}\(|axios\.post|sendBeacon\s{0,2}\()/
  condition:
    filesize < 1MB and all of them
}

rule phish_mailer_of_credentials
{
  meta:
    id = "BKL-PHI-0003"
    threat_name = "Phish.PHP.Mailer"
    category = "phishing"
    severity = "high"
    confidence = "medium"
    description = "PHP that mails a password of a form together with the visitor's address and sends the visitor on to the real site"
    reference = "https://attack.mitre.org/techniques/T1598/003/"
    false_positives = "none known: honest scripts do not mail passwords with addresses"
  strings:
    $php = /<\?(php|=)/ nocase
    $secret = /\$_(POST|REQUEST|GET)\s{0,2}\[\s{0,2}['"](pass(wd|word|w|wort|1|2)?|pwd|mot_?de_?passe|contrase\w{1,4}|senha|pin|otp|cvv2?|cvc|epass|login_password)['"]\s{0,2}\]/ nocase
    $victim = /(REMOTE_ADDR|HTTP_CLIENT_IP|HTTP_X_FORWARDED_FOR|getenv\s{0,2}\(\s{0,2}['"]REMOTE_ADDR)/
    $mail = /@?\bmail\s{0,2}\(\s{0,2}(\$|['"])[^;\n]{1,160},/ nocase
    $on = /header\s{0,2}\(\s{0,2}["']Location:\s{0,2}(https?:|\$)/ nocase
    $browser = /(HTTP_USER_AGENT|gethostbyaddr\s{0,2}\()/
  condition:
    filesize < 64KB and all of them
}

rule phish_profiles_victim
{
  meta:
    id = "BKL-PHI-0004"
    threat_name = "Phish.PHP.VictimProfile"
    category = "phishing"
    severity = "high"
    confidence = "medium"
    description = "PHP that looks up where a visitor is and stores or sends this with a secret from a form"
    reference = "https://attack.mitre.org/techniques/T1598/003/"
    false_positives = "none known"
  strings:
    $php = /<\?(php|=)/ nocase
    $where = /(geoplugin\.net\/|ip-api\.com\/|ipinfo\.io\/|extreme-ip-lookup\.com|ipapi\.co\/|geoiptool\.com)/ nocase
    $secret = /\$_(POST|REQUEST|GET)\s{0,2}\[\s{0,2}['"](pass(wd|word|w|wort|1|2)?|pwd|pin|otp|sms_?code|cvv2?|cvc|csc|ccv|cc_?number|card_?number|cardnum|ssn|seed|mnemonic)['"]\s{0,2}\]/ nocase
    $keep = /(\bmail\s{0,2}\(|\bfwrite\s{0,2}\(|file_put_contents\s{0,2}\(|sendMessage\b)/ nocase
    $victim = /(REMOTE_ADDR|HTTP_CLIENT_IP|HTTP_X_FORWARDED_FOR)/
  condition:
    filesize < 128KB and $php and $where and $secret and $keep and $victim
}

rule phish_kit_wording
{
  meta:
    id = "BKL-PHI-0005"
    threat_name = "Phish.PHP.KitWording"
    category = "phishing"
    severity = "high"
    confidence = "medium"
    description = "PHP that puts a form's secrets into a text with the headings sellers of phishing kits use"
    reference = "https://attack.mitre.org/techniques/T1598/003/"
    false_positives = "none known"
  strings:
    $php = /<\?(php|=)/ nocase
    $secret = /\$_(POST|REQUEST|GET|SESSION)\s{0,2}\[/
    $frame = /["'.=+|*\[~\s-]{4}[-=+|*~]{3}[-=+|*~\s\[]{0,24}(\w{1,16}\s{1,2}){0,3}(log[i1]n|rezults?|results?|fullz|cc\s{1,2}info|card|billing|sms|victim|spam)\b[^\n]{0,24}[-=+|*~\]]{3}/ nocase
    $word_1 = /\b(fullz|re[sz]ult\s{0,2}box|rezult\w{0,2}|scama|scampage|spamb[o0]x)\b/ nocase
    $word_2 = /\b(coded|created|made|powered|scam)\s{1,2}by\s{1,2}["'\w@.-]{2,24}/ nocase
    $word_3 = /\b(card|cc|debit)\s{0,2}(number|num|holder)\s{0,4}[=|:]|\bcvv2?\s{0,4}[=|:]|\b(email|e-mail)\s{0,2}(pass|password)\s{0,4}[=|:]/ nocase
    $out = /(\bmail\s{0,2}\(|sendMessage\b|\bfwrite\s{0,2}\(|file_put_contents\s{0,2}\()/ nocase
  condition:
    filesize < 64KB and $php and $secret and $out and $frame and 2 of ($word_*)
}

rule phish_kit_settings
{
  meta:
    id = "BKL-PHI-0006"
    threat_name = "Phish.PHP.KitSettings"
    category = "phishing"
    severity = "medium"
    confidence = "medium"
    description = "The settings of a phishing kit: where results go, whether to ask twice, whom to keep out"
    reference = "https://attack.mitre.org/techniques/T1583/"
    false_positives = "none known"
  strings:
    $php = /<\?(php|=)/ nocase
    $to = /(\$(send|to|your_?email|result_?(box|mail)|yourmail|my_?email|rezult\w{0,4})\s{0,4}=\s{0,4}["']|define\s{0,2}\(\s{0,2}['"](RESULT_?(BOX|MAIL|EMAIL)|YOUR_?EMAIL|EMAIL_RESULT)['"])/ nocase
    $bot = /["'\$](telegram_?)?(bot_?token|chat_?id|bot_?api|bot_?key|telegram_?bot)["']?\s{0,4}(=|=>|,)\s{0,4}["'\d-]/ nocase
    $twice = /["'\$](double_?(login|card|cc|otp|access|pass)|true_?login|ask_?twice|double_?\w{0,12}login)["']?\s{0,4}(=|=>|,)/ nocase
    $out = /["'\$](anti_?bots?|block_?(vpn|proxy|bots?)|killbot\w{0,8}|one_?time_?access|lock_?country|allowed?_?country|allowed?_?countries|antibot\w{0,8})["']?\s{0,4}(=|=>|,)/ nocase
    $steps = /["'\$](get_?(cc|card|vbv|3d|otp|sms|email_?access|fullz|selfie|ssn)|show_?(captcha|vbv|id_?card)|scam_?\w{1,12}|page_?(otp|card|billing))["']?\s{0,4}(=|=>|,)/ nocase
  condition:
    filesize < 64KB and $php and ($to or $bot) and 2 of ($twice, $out, $steps)
}
