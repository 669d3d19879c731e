/* Formulas that start programs: Excel 4 macros in their text forms, and DDE. */

rule symbolic_link_macro_sheet
{
  meta:
    id = "BKL-OFF-0015"
    threat_name = "Macro.Excel4.SYLK"
    category = "macro"
    severity = "high"
    confidence = "high"
    description = "A symbolic link file with a macro that runs on opening and starts or calls a program"
    reference = "https://attack.mitre.org/techniques/T1059/"
    false_positives = "none known: nobody writes macros into this format any more"
  strings:
    $automatic = /\nNN;NAuto_(open|close|activate)\w{0,8};/ nocase
    $call = /;E(EXEC|CALL|REGISTER|FORMULA|RUN)\(/ nocase
  condition:
    uint32be(0) == 0x49443B50 and filesize < 1MB and all of them
}

rule macro_sheet_starts_program
{
  meta:
    id = "BKL-OFF-0016"
    threat_name = "Macro.Excel4.Sheet"
    category = "macro"
    severity = "high"
    confidence = "high"
    description = "An Excel 4 macro sheet with a formula that starts a program or calls a system library"
    reference = "https://attack.mitre.org/techniques/T1059/"
    false_positives = "very old finance workbooks that call libraries of their own"
  strings:
    $sheet = /<(\w{1,8}:)?macrosheet\b/ nocase
    $execute = /<f>[^<]{0,200}\bEXEC\s{0,2}\(/ nocase
    $library = /<f>[^<]{0,200}\b(CALL|REGISTER)\s{0,2}\(\s{0,2}(&quot;|")(urlmon|kernel32|shell32|winmm|advapi32|ntdll)/ nocase
  condition:
    filesize < 4MB and $sheet and ($execute or $library)
}

rule table_cell_starts_program
{
  meta:
    id = "BKL-OFF-0017"
    threat_name = "Exploit.DDE.Table"
    category = "exploit"
    severity = "medium"
    confidence = "medium"
    description = "A table as text whose cell asks Excel to start an interpreter that fetches something"
    reference = "https://attack.mitre.org/techniques/T1559/002/"
    false_positives = "test data of programs that check exported tables"
  strings:
    $cell = /(^|[\n,;\t"])[=+@-][^|\n]{0,40}(cmd|powershell|pwsh|mshta|rundll32|regsvr32|certutil)(\.exe)?\s{0,4}\|\s{0,4}'[^'\n]{0,200}(https?:|-e(nc\w{0,14})?\s[A-Za-z0-9+\/]{16}|\\\\\d)[^'\n]{0,300}'!/ nocase
  condition:
    filesize < 2MB and $cell
}

rule field_starts_program
{
  meta:
    id = "BKL-OFF-0018"
    threat_name = "Exploit.DDE.Field"
    category = "exploit"
    severity = "high"
    confidence = "high"
    description = "A document with a DDE field that starts an interpreter"
    reference = "https://attack.mitre.org/techniques/T1559/002/"
    false_positives = "none known: honest DDE fields name Excel or another Office program"
  strings:
    $field = /(<w:instrText[^>]{0,80}>|w:instr=")\s{0,8}DDE(AUTO)?\s{1,8}[^<]{0,200}(cmd(\.exe)?|powershell(\.exe)?|mshta|rundll32|regsvr32|wscript|cscript)\b/ nocase
    $split = /<w:instrText[^>]{0,80}>\s{0,8}DDE(AUTO)?\s{0,8}<\/w:instrText>/ nocase
    $interpreter = /<w:instrText[^>]{0,80}>[^<]{0,120}\b(cmd\.exe|powershell|mshta|rundll32|regsvr32)\b/ nocase
  condition:
    filesize < 8MB and ($field or ($split and $interpreter))
}
