/* VBA that hides what it does, lowers Office's guard or copies itself. */

private rule vba_that_starts_by_itself
{
  strings:
    $sub = /\bSub\s{1,4}(Auto_?(Open|Exec|Close|New|Exit)|Document_?(Open|Close|New)|Workbook_?(Open|Activate|BeforeClose))\s{0,4}\(/ nocase
  condition:
    filesize < 1MB and $sub
}

rule macro_spells_with_character_codes
{
  meta:
    id = "BKL-OFF-0009"
    threat_name = "Macro.VBA.Obfuscated.Chr"
    category = "macro"
    severity = "medium"
    confidence = "medium"
    description = "A macro that runs when the document is opened and spells a long text from character codes to create an object or start a program"
    reference = "https://attack.mitre.org/techniques/T1027/010/"
    false_positives = "macros that build texts in other alphabets from character codes and also create objects"
  strings:
    $codes = /(\bChr[BW]?\$?\(\s{0,2}(&H)?[0-9A-F]{2,3}\s{0,2}\)\s{0,2}[&+]\s{0,2}(_\s{1,8})?){12}/ nocase
    $use = /(\bShell\b\s{0,4}\(?|CreateObject\s{0,4}\(|GetObject\s{0,4}\(|\.Run\b|CallByName\b)/ nocase
  condition:
    vba_that_starts_by_itself and all of them
}

rule macro_spells_backwards
{
  meta:
    id = "BKL-OFF-0010"
    threat_name = "Macro.VBA.Obfuscated.Reversed"
    category = "macro"
    severity = "high"
    confidence = "high"
    description = "A macro with the name of an interpreter or a web address written backwards"
    reference = "https://attack.mitre.org/techniques/T1027/010/"
    false_positives = "none known"
  strings:
    $reverse = /\bStrReverse\s{0,4}\(/ nocase
    $word = /"[^"\n]{0,200}(llehsrewop|llehs\.tpircsw|exe\.dmc|athsm|tcejbometsyselif|ptthlmx|\/\/:s?ptth|litutrec)/ nocase
  condition:
    filesize < 1MB and all of them
}

rule macro_starts_hidden_text
{
  meta:
    id = "BKL-OFF-0011"
    threat_name = "Macro.VBA.HiddenText"
    category = "macro"
    severity = "medium"
    confidence = "high"
    description = "A macro that starts a command kept in a document property, a tag, a tip or an alternative text"
    reference = "https://attack.mitre.org/techniques/T1564/"
    false_positives = "none known: programs are not kept in such places"
  strings:
    $start = /(\bShell\b|\.Run\b|\.Exec\b)\s{0,4}\(?[^\n]{0,60}(BuiltInDocumentProperties|CustomDocumentProperties|\.ControlTipText|\.AlternativeText|\.Tag\b|ActiveDocument\.Variables)/ nocase
  condition:
    vba_that_starts_by_itself and $start
}

rule macro_lowers_office_guard
{
  meta:
    id = "BKL-OFF-0012"
    threat_name = "Macro.VBA.SecuritySettings"
    category = "macro"
    severity = "high"
    confidence = "high"
    description = "A script or macro that writes the settings which let all macros run, or let macros rewrite macros"
    reference = "https://attack.mitre.org/techniques/T1112/"
    false_positives = "scripts of administrators that loosen Office on purpose"
  strings:
    $write = /(\.RegWrite\b|\.PrivateProfileString\b)[^\n"]{0,20}("",\s{0,4})?"HK[^\n]{1,120}\\Security(\\|"\s{0,4},\s{0,4}")(VBAWarnings|AccessVBOM|Disable(InternetFiles|Attachments|UnsafeLocations)InPV)"/ nocase
  condition:
    filesize < 1MB and $write
}

rule macro_copies_itself
{
  meta:
    id = "BKL-OFF-0013"
    threat_name = "Virus.VBA"
    category = "virus"
    severity = "high"
    confidence = "high"
    description = "A macro that writes macro code into the global template or into other open documents"
    reference = "https://attack.mitre.org/techniques/T1137/001/"
    false_positives = "tools that install macros into the global template"
  strings:
    $target = /\b(NormalTemplate|MacroContainer|ActiveDocument|ActiveWorkbook|Workbooks\([^)\n]{1,40}\)|Documents\([^)\n]{1,40}\))\.VBProject\.VBComponents\b/ nocase
    $code = /\.CodeModule\b/ nocase
    $read = /\.Lines\s{0,4}\(\s{0,4}1\s{0,4},/ nocase
    $write = /\.(InsertLines|AddFromString|ReplaceLine)\b/ nocase
  condition:
    vba_that_starts_by_itself and all of them
}

rule macro_mails_itself
{
  meta:
    id = "BKL-OFF-0014"
    threat_name = "Worm.VBA.Mail"
    category = "worm"
    severity = "high"
    confidence = "high"
    description = "A macro that sends the document it is in to the entries of the address book"
    reference = "https://attack.mitre.org/techniques/T1534/"
    false_positives = "none known: mail merges take their addresses from a list"
  strings:
    $outlook = /CreateObject\s{0,4}\(\s{0,4}"Outlook\.Application"/ nocase
    $book = /\.(AddressLists|AddressEntries)\b/ nocase
    $attach = /\.Attachments\.Add\s{0,4}\(?\s{0,4}(ActiveDocument|ThisDocument|ActiveWorkbook|ThisWorkbook)\.FullName/ nocase
  condition:
    filesize < 1MB and all of them
}
