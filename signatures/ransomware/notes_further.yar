/* Further kinds of notes: with mail addresses, with the threat to publish, as pages, left in databases. */

rule ransom_note_by_mail
{
  meta:
    id = "BKL-RAN-0002"
    threat_name = "Ransom.Note.Mail"
    category = "ransomware"
    severity = "medium"
    confidence = "medium"
    description = "A short text that says the files are encrypted, gives an anonymous address and a number, and offers to decrypt a few for free"
    reference = "https://attack.mitre.org/techniques/T1486/"
    false_positives = "reports about ransomware that quote a note in full"
  strings:
    $loss = /\byour\s{1,4}(\w{1,12}\s{1,4}){0,3}(files|documents|data|servers?|photos)\b[^.\n]{0,60}\b(have|has|are|were|is)\s{1,4}(been\s{1,4})?(encrypted|locked)\b/ ascii wide nocase
    $word = "decrypt" ascii wide nocase
    $address = /[a-z0-9._-]{3,40}@(proton(mail)?|tuta(nota|mail)?|onionmail|cock|mailfence|msgsafe|aol|keemail|firemail|airmail|disroot|dnmx|cyberfear)\.[a-z]{2,6}\b/ ascii wide nocase
    $contact = /\b(telegram|session|tox(\s{1,2}chat)?|qtox|jabber|icq)\b[^\n]{0,40}(id|:|@)/ ascii wide nocase
    $number = /\b(personal|unique|your|decryption|victim|machine)\s{1,4}(key\s{1,4}|decryption\s{1,4})?(id|identifier|code)\b/ ascii wide nocase
    $sample = /\b(decrypt|test|restore)\b[^.\n]{0,60}\b(1|2|3|5|one|two|three|several|few|some)\s{1,4}(\w{1,12}\s{1,4}){0,2}files?\b/ ascii wide nocase
    $free = /\bfiles?\b[^.\n]{0,60}\b(for\s{1,4}free|free\s{1,4}of\s{1,4}charge|as\s{1,4}a\s{1,4}(guarantee|proof))\b/ ascii wide nocase
    $threat = /(do\s{1,4}not|don['`]?t)\s{1,4}(try\s{1,4}to\s{1,4})?(rename|modify|recover|restore|decrypt|use\s{1,4}third)/ ascii wide nocase
  condition:
    filesize < 32KB and $word and $loss and ($address or $contact) and $number and ($sample or $free) and $threat
}

rule ransom_note_publishes
{
  meta:
    id = "BKL-RAN-0003"
    threat_name = "Ransom.Note.Leak"
    category = "ransomware"
    severity = "medium"
    confidence = "medium"
    description = "A short text to a company: its data were copied and will be published unless it negotiates"
    reference = "https://attack.mitre.org/techniques/T1657/"
    false_positives = "reports about ransomware that quote a note in full"
  strings:
    $copied = /\b(data|files|documents|databases?|information)\b[^.\n]{0,60}\b(have|has|were|was|are)\s{1,4}(also\s{1,4})?(been\s{1,4})?(stolen|downloaded|exfiltrated|copied|leaked|encrypted)\b/ ascii wide nocase
    $publish = /\b(will|going\s{1,4}to|shall)\s{1,4}(be\s{1,4})?(publish(ed)?|leak(ed)?|sell|sold|disclosed?|posted)\b/ ascii wide nocase
    $site = /(\b[a-z2-7]{16}([a-z2-7]{40})?\.onion\b|\bour\s{1,4}(leak\s{1,4}site|blog|news\s{1,4}site)\b|\btor\s{1,4}(browser|site|blog)\b)/ ascii wide nocase
    $no_help = /(do\s{1,4}not|don['`]?t|never)\s{1,4}[^.\n]{0,40}\b(police|fbi|law\s{1,4}enforcement|authorities|recovery\s{1,4}compan|negotiators?|data\s{1,4}recovery)/ ascii wide nocase
    $deadline = /\b(within|in|after)\s{1,4}([0-9]{1,3}|three|seven|five|two)\s{1,4}(hours|days)\b/ ascii wide nocase
    $talk_1 = "negotiat" ascii wide nocase
    $talk_2 = "contact us" ascii wide nocase
    $talk_3 = "chat with us" ascii wide nocase
    $talk_4 = "support chat" ascii wide nocase
  condition:
    filesize < 32KB and $copied and $publish and $site and any of ($talk_*) and ($no_help or $deadline)
}

rule ransom_note_page
{
  meta:
    id = "BKL-RAN-0004"
    threat_name = "Ransom.Note.Page"
    category = "ransomware"
    severity = "medium"
    confidence = "medium"
    description = "A page that says the files are encrypted, names a sum in coins with an address, and counts down"
    reference = "https://attack.mitre.org/techniques/T1491/001/"
    false_positives = "reports about ransomware that quote a note in full"
  strings:
    $page = /<(html|title|hta:application|body)\b/ nocase
    $loss = /\byour\s{1,4}(\w{1,12}\s{1,4}){0,3}(files|documents|data|computer)\b[^.\n]{0,60}\b(have|has|are|were|is)\s{1,4}(been\s{1,4})?(encrypted|locked)\b/ nocase
    $sum = /\b(send|transfer|price|cost|amount|payment|ransom|exactly)\b[^\n]{0,60}(\$\s{0,2}[0-9]{2,5}|[0-9.]{1,8}\s{1,2}(btc|bitcoins?|xmr))\b/ nocase
    $address = /(address|wallet|bitcoin|btc)\b[^\n]{0,80}\b(bc1[a-z0-9]{25,59}|[13][1-9A-HJ-NP-Za-km-z]{32,33}|[48][0-9AB][1-9A-HJ-NP-Za-km-z]{93})\b/ nocase
    $deadline = /\b(time\s{1,4}left|price\s{1,4}will\s{1,4}(be\s{1,4})?(double|increase|raise)|will\s{1,4}be\s{1,4}(lost|deleted|destroyed)|[0-9]{1,3}\s{1,4}hours)\b/ nocase
    $key = /\b(decrypt(or|ion|ing)?|private\s{1,4}key)\b/ nocase
  condition:
    filesize < 256KB and all of them
}

rule ransom_note_database
{
  meta:
    id = "BKL-RAN-0005"
    threat_name = "Ransom.Note.Database"
    category = "ransomware"
    severity = "medium"
    confidence = "high"
    description = "The message intruders leave in emptied databases: the data are on their server and can be bought back"
    reference = "https://attack.mitre.org/techniques/T1485/"
    false_positives = "reports that quote the message in full"
  strings:
    $copied = /\b(your|all\s{1,4}your)\s{1,4}(data|databases?|tables|db|information)\b[^\n]{0,80}\b(backed\s{1,4}up|downloaded|dumped|saved|moved)\b/ nocase
    $pay = /\b(pay|send|transfer|deposit)\b[^\n]{0,20}[0-9][0-9.,]{0,9}\s{0,4}(btc|bitcoins?|xmr)\b/ nocase
    $address = /(address|wallet|bitcoin|btc)\b[^\n]{0,80}\b(bc1[a-z0-9]{25,59}|[13][1-9A-HJ-NP-Za-km-z]{32,33})\b/ nocase
    $place = /\b(READ_?_?ME|README_TO_RECOVER|READ_ME_TO_RECOVER|RECOVER_YOUR_DATA|PLEASE_READ|WARNING)[A-Z_]{0,24}\b/
  condition:
    filesize < 16MB and all of them
}
