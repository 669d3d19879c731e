/* What surrounds phishing pages: lists that keep analysts out, pages that come as attachments, mailers, proxies. */

rule phish_keeps_analysts_out
{
  meta:
    id = "BKL-PHI-0007"
    threat_name = "Phish.PHP.Antibot"
    category = "phishing"
    severity = "medium"
    confidence = "high"
    description = "PHP that shows nothing to visitors from security companies, search engines and hosting providers"
    reference = "https://attack.mitre.org/techniques/T1497/"
    false_positives = "none known: honest sites do not turn away those who report phishing"
  strings:
    $php = /<\?(php|=)/ nocase
    $looks = /(gethostbyaddr\s{0,2}\(|REMOTE_ADDR|HTTP_USER_AGENT|REMOTE_HOST)/
    $who_1 = "phishtank" nocase
    $who_2 = "netcraft" nocase
    $who_3 = /cyveillance|phishlabs|brandprotect/ nocase
    $who_4 = /\b(kaspersky|bitdefender|fortinet|sophos|symantec|messagelabs|trendmicro|avira|eset)\b/ nocase
    $who_5 = /\b(dr\.?web|virustotal|urlscan|sucuri|google-?safety|safebrowsing|spamhaus)\b/ nocase
    $who_6 = /\b(tor-?exit|torservers|softlayer|amazonaws|digitalocean|calyxinstitute)\b/ nocase
    $away = /(404\s{1,2}Not\s{1,2}Found|403\s{1,2}Forbidden|\bdie\s{0,2}\(|\bexit\s{0,2}[\(;]|header\s{0,2}\(\s{0,2}["']Location)/ nocase
  condition:
    filesize < 512KB and $php and $looks and $away and ($who_1 or $who_2) and 4 of ($who_*)
}

rule phish_htaccess_keeps_analysts_out
{
  meta:
    id = "BKL-PHI-0008"
    threat_name = "Phish.Apache.Antibot"
    category = "phishing"
    severity = "medium"
    confidence = "high"
    description = "Settings of a web server that turn away those who look for phishing"
    reference = "https://attack.mitre.org/techniques/T1497/"
    false_positives = "none known: honest sites do not turn away those who report phishing"
  strings:
    $deny = /\b(deny\s{1,4}from|Require\s{1,4}not\s{1,4}(host|ip)|RewriteCond\s{1,4}%\{(REMOTE_HOST|HTTP_REFERER|HTTP_USER_AGENT|REMOTE_ADDR)\})/ nocase
    $who_1 = "phishtank" nocase
    $who_2 = "netcraft" nocase
    $who_3 = /cyveillance|phishlabs|brandprotect|markmonitor/ nocase
    $who_4 = /\b(kaspersky|bitdefender|fortinet|sophos|symantec|trendmicro|avira|eset)\b/ nocase
    $who_5 = /\b(dr\.?web|virustotal|urlscan|sucuri|safebrowsing|spamhaus)\b/ nocase
  condition:
    filesize < 512KB and #deny >= 4 and ($who_1 or $who_2) and 3 of ($who_*)
}

rule phish_attachment_with_login
{
  meta:
    id = "BKL-PHI-0009"
    threat_name = "Phish.HTML.Attachment"
    category = "phishing"
    severity = "high"
    confidence = "medium"
    description = "A page that fills in the victim's address from its own link, asks for the password and sends both to a script elsewhere"
    reference = "https://attack.mitre.org/techniques/T1566/001/"
    false_positives = "none known"
  strings:
    $field = /(<input\b[^>]{0,200}type\s{0,2}=\s{0,2}["']?password\b|\.type\s{0,2}=\s{0,2}["']password["'])/ nocase
    $address = /(location\.hash\.(substr(ing)?|slice|replace|split)\s{0,2}\(|location\.hash\s{0,2}\.\s{0,2}match)/
    $decode = /(\batob\s{0,2}\(|\bunescape\s{0,2}\(|decodeURIComponent\s{0,2}\(|@[^@\s]{0,4}\.test\s{0,2}\()/
    $mail = /(indexOf\s{0,2}\(\s{0,2}["']@["']|split\s{0,2}\(\s{0,2}["']@["']|lastIndexOf\s{0,2}\(\s{0,2}["']@["'])/
    $send = /(url\s{0,2}:\s{0,2}|\bfetch\s{0,2}\(\s{0,2}|\.open\s{0,2}\(\s{0,2}["']POST["']\s{0,2},\s{0,2}|\$\.post\s{0,2}\(\s{0,2}|action\s{0,2}=\s{0,2})["'`]https?:\/\/[^"'`\n]{4,160}\.php\b/ nocase
  condition:
    filesize < 2MB and all of them
}

rule phish_mass_mailer
{
  meta:
    id = "BKL-PHI-0010"
    threat_name = "Phish.PHP.MassMailer"
    category = "phishing"
    severity = "medium"
    confidence = "high"
    description = "A PHP page that sends mail to long lists with placeholders of the mailers that are left on broken-into servers"
    reference = "https://attack.mitre.org/techniques/T1566/002/"
    false_positives = "none known"
  strings:
    $php = /<\?(php|=)/ nocase
    $place_1 = /\[-(email|emailuser|emaildomain|to)-\]/ nocase
    $place_2 = /\[-(time|randommd5|randomstring|randomnumber|randomletters|ip)-\]/ nocase
    $list = /\b(emaillist|maillist|email_?list|emails)\b/ nocase
    $mail = /(\bmail\s{0,2}\(|PHPMailer|fsockopen\s{0,2}\()/
  condition:
    filesize < 1MB and all of them
}

rule phish_proxy_definition
{
  meta:
    id = "BKL-PHI-0011"
    threat_name = "Phish.Proxy.Definition"
    category = "phishing"
    severity = "high"
    confidence = "high"
    description = "The definition of a site for a proxy that stands between victims and a real log-in and keeps its session cookies"
    reference = "https://attack.mitre.org/techniques/T1557/"
    false_positives = "frameworks for penetration tests"
  strings:
    $hosts = /\bproxy_hosts\s{0,2}:/
    $filters = /\bsub_filters\s{0,2}:/
    $tokens = /\bauth_tokens\s{0,2}:/
    $credentials = /\bcredentials\s{0,2}:/
    $sub = "phish_sub"
  condition:
    filesize < 64KB and $sub and $tokens and 2 of ($hosts, $filters, $credentials)
}
