/* Programs and archives that look like something else. */

rule python_in_one_file
{
  meta:
    id = "BKL-PAC-0011"
    threat_name = "Suspicious.Bundle.PyInstaller"
    category = "packer"
    severity = "info"
    confidence = "high"
    description = "A program that unpacks a Python interpreter and its scripts when it is started"
    reference = "https://attack.mitre.org/techniques/T1027/009/"
    false_positives = "many honest tools are distributed this way"
  strings:
    // The mark of PyInstaller's archive at the end of the program.
    $mark = { 4D 45 49 0C 0B 0A 0B 0E }
    $runtime = /(_MEIPASS|PyInstaller|pyi-runtime-tmpdir|_PYI_\w{4,30})/
  condition:
    (uint16(0) == 0x5A4D or uint32be(0) == 0x7F454C46) and filesize < 256MB and all of them
}

rule archived_program_with_two_endings
{
  meta:
    id = "BKL-PAC-0012"
    threat_name = "Suspicious.DoubleExtension"
    category = "suspicious"
    severity = "low"
    confidence = "high"
    description = "An archive with a program whose name looks like that of a document"
    reference = "https://attack.mitre.org/techniques/T1036/007/"
    false_positives = "programs named after the format they work on"
  strings:
    $name = /PK\x03\x04[\x00-\xff]{26}[^\x00-\x1f]{1,120}\.(pdf|docx?|xlsx?|pptx?|rtf|jpe?g|png|gif|txt|csv|mp[34]|zip)[ ._]{0,120}\.(exe|scr|com|pif|cpl|jse|vbs|vbe|wsf|hta|bat|cmd|lnk|ps1|msi)/ nocase
    $padded = /PK\x03\x04[\x00-\xff]{26}[^\x00-\x1f]{1,80} {12}[^\x00-\x1f]{0,80}\.(exe|scr|com|pif|cpl|jse?|vbs|vbe|wsf|hta|bat|cmd|lnk|ps1|msi)/ nocase
  condition:
    uint32be(0) == 0x504B0304 and filesize < 64MB and any of them
}

rule name_turned_around
{
  meta:
    id = "BKL-PAC-0013"
    threat_name = "Suspicious.RightToLeft"
    category = "suspicious"
    severity = "low"
    confidence = "high"
    description = "An archive with a program whose name is turned around by a mark for languages written from right to left"
    reference = "https://attack.mitre.org/techniques/T1036/002/"
    false_positives = "none known: such marks do not stand before the ending of a program"
  strings:
    // U+202E in UTF-8.
    $name = /PK\x03\x04[\x00-\xff]{26}[^\x00-\x1f]{0,120}\xe2\x80\xae[^\x00-\x1f]{1,60}\.(exe|scr|com|pif|cpl|jse?|vbs|vbe|wsf|hta|bat|cmd|lnk|ps1|msi)/ nocase
  condition:
    uint32be(0) == 0x504B0304 and filesize < 64MB and $name
}
