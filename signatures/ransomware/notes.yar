/* What extortionists leave behind. The note is not the program, but where it lies files have been lost. */

rule ransom_note
{
  meta:
    id = "BKL-RAN-0001"
    threat_name = "Ransom.Note"
    category = "ransomware"
    severity = "medium"
    confidence = "medium"
    description = "A short text that says the files are encrypted, names a hidden service and demands payment for the key"
    reference = "https://attack.mitre.org/techniques/T1486/"
    false_positives = "reports about ransomware that quote a note in full"
  strings:
    $loss_1 = /\b(all\s{1,4}(of\s{1,4})?)?your\s{1,4}(important\s{1,4})?(files|documents|data|network)[^.\n]{0,60}\b(have|has|are|were|is)\s{1,4}(been\s{1,4})?(encrypted|locked|stolen)/ ascii wide nocase
    $service = /\b[a-z2-7]{16}([a-z2-7]{40})?\.onion\b/ ascii wide nocase
    $browser = /\btor\s{1,4}browser\b|torproject\.org/ ascii wide nocase
    $price = /\b(bitcoins?|btc|monero|xmr)\b/ ascii wide nocase
    $key = /\b(decrypt(or|ion|ing)?|private\s{1,4}key|unique\s{1,4}key|personal\s{1,4}id)\b/ ascii wide nocase
    $threat = /(do\s{1,4}not|don['`]?t)\s{1,4}(try\s{1,4}to\s{1,4})?(rename|modify|recover|restore|decrypt|contact)/ ascii wide nocase
  condition:
    filesize < 32KB and $loss_1 and $service and $browser and $key and ($price or $threat)
}
