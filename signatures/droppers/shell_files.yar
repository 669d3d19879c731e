/* Small files that Windows opens by itself or with one click, and that point elsewhere. */

rule internet_shortcut_to_program
{
  meta:
    id = "BKL-DRP-2013"
    threat_name = "Dropper.URL.Program"
    category = "dropper"
    severity = "medium"
    confidence = "high"
    description = "An internet shortcut to a program or script in a web folder, or on a file server given by number"
    reference = "https://attack.mitre.org/techniques/T1204/002/"
    false_positives = "shortcuts on a network without names"
  strings:
    $head = "[InternetShortcut]" nocase
    $target = /\nURL=(file:)?[\/\\]{2,5}(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}|[A-Za-z0-9.-]{3,120}@(SSL|\d{2,5})|[A-Za-z0-9.-]{3,120}[\/\\]DavWWWRoot)(@\d{2,5})?[\/\\][^\r\n]{1,260}\.(exe|scr|com|cpl|jse?|vbs|vbe|wsf|hta|bat|cmd|ps1|msi|lnk|jar|pif)\s{0,4}(\r|\n|$)/ nocase
    $in_archive = /\nURL=file:[^\r\n]{4,200}\.zip[\/\\][^\r\n]{1,100}\.(exe|scr|jse?|vbs|hta|bat|cmd|lnk|url)\b/ nocase
  condition:
    filesize < 16KB and $head and any of ($target, $in_archive)
}

rule icon_from_remote_address
{
  meta:
    id = "BKL-DRP-2014"
    threat_name = "Exploit.IconLeak"
    category = "exploit"
    severity = "medium"
    confidence = "medium"
    description = "A shell file whose icon is fetched from a file server given by number, which sends it the password hash of who looks at the folder"
    reference = "https://attack.mitre.org/techniques/T1187/"
    false_positives = "shortcuts on a network without names"
  strings:
    $head = /\[(InternetShortcut|Shell|\.ShellClassInfo)\]/ nocase
    $icon = /\nIcon(File|Resource)=\s{0,2}(file:)?[\/\\]{2,5}\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}(@\d{1,5})?[\/\\]/ nocase
  condition:
    filesize < 16KB and all of them
}

rule library_of_remote_folder
{
  meta:
    id = "BKL-DRP-2015"
    threat_name = "Dropper.LibraryFile"
    category = "dropper"
    severity = "medium"
    confidence = "medium"
    description = "A library or search file that shows a web folder as if it were a local one"
    reference = "https://attack.mitre.org/techniques/T1204/002/"
    false_positives = "document servers connected on purpose; those of Microsoft do not match"
  strings:
    $head = /<(libraryDescription|searchConnectorDescription)\b/ nocase
    $location = /<url>\s{0,8}(\\\\[A-Za-z0-9.-]{3,120}(@(SSL|\d{2,5})(@\d{2,5})?\\|\\(DavWWWRoot|webdav)\\)|https?:\/\/(\d{1,3}\.){3}\d{1,3}|https?:\/\/[a-z0-9.-]{3,120}\.(trycloudflare|ngrok)[a-z.-]{0,12})/ nocase
  condition:
    filesize < 64KB and all of them
}

rule setting_content_starts_program
{
  meta:
    id = "BKL-DRP-2016"
    threat_name = "Dropper.SettingContent"
    category = "dropper"
    severity = "high"
    confidence = "high"
    description = "A settings file whose link starts an interpreter"
    reference = "https://attack.mitre.org/techniques/T1204/002/"
    false_positives = "none known: those of Windows start the control panel"
  strings:
    $head = /<PCSettings>/ nocase
    $link = /<DeepLink>[^<]{0,120}\b(cmd|powershell|pwsh|mshta|wscript|cscript|rundll32|regsvr32|certutil)(\.exe)?\b/ nocase
  condition:
    filesize < 64KB and all of them
}

rule help_page_starts_program
{
  meta:
    id = "BKL-DRP-2017"
    threat_name = "Dropper.CHM"
    category = "dropper"
    severity = "high"
    confidence = "high"
    description = "A page of compiled help that starts an interpreter through the shortcut control"
    reference = "https://attack.mitre.org/techniques/T1218/001/"
    false_positives = "help of old administration tools with buttons that open a console"
  strings:
    $control = "adb880a6-d8ff-11cf-9377-00aa003b7a11" nocase
    $shortcut = /value\s{0,2}=\s{0,2}["']?ShortCut\b/ nocase
    $item = /name\s{0,2}=\s{0,2}["']?Item1["']?\s{1,8}value\s{0,2}=\s{0,2}["'],?[^"'>]{0,80}\b(cmd|powershell|mshta|wscript|cscript|rundll32|regsvr32|hh|certutil|msiexec)(\.exe)?\b/ nocase
    $click = /\.Click\s{0,2}\(\s{0,2}\)/ nocase
  condition:
    filesize < 4MB and all of them
}

rule autorun_starts_script
{
  meta:
    id = "BKL-DRP-2018"
    threat_name = "Worm.Autorun"
    category = "worm"
    severity = "medium"
    confidence = "high"
    description = "An autorun file that starts a script, an interpreter or something in a waste basket"
    reference = "https://attack.mitre.org/techniques/T1091/"
    false_positives = "discs of old magazines that start a script; setup programs do not match"
  strings:
    $head = /\[autorun(\.\w{1,8})?\]/ nocase
    $start = /\n\s{0,8}(open|shellexecute|shell\\[^=\n]{1,40}\\command)\s{0,4}=[^\n]{0,80}(\.(vbs|vbe|jse?|wsf|bat|cmd|lnk|pif|scr|ps1|hta)\b|\b(wscript|cscript|powershell|rundll32|mshta)\b|RECYCLER\\|\$RECYCLE\.BIN\\|cmd(\.exe)?\s{1,4}\/c)/ nocase
  condition:
    filesize < 256KB and all of them
}

rule console_file_runs_script
{
  meta:
    id = "BKL-DRP-2019"
    threat_name = "Dropper.MSC"
    category = "dropper"
    severity = "high"
    confidence = "high"
    description = "A management console file that opens a page of a system library with a script as its address"
    reference = "https://attack.mitre.org/techniques/T1218/014/"
    false_positives = "none known"
  strings:
    $head = "<MMC_ConsoleFile" nocase
    $page = /res:\/\/apds\.dll\/redirect\.html\?target=(javascript|vbscript)?/ nocase
    $script = /(javascript|vbscript):|ActiveXObject|loadXML\s{0,2}\(|transformNode\s{0,2}\(/ nocase
  condition:
    filesize < 8MB and all of them
}

rule disk_image_with_shortcut_and_code
{
  meta:
    id = "BKL-DRP-2020"
    threat_name = "Suspicious.DiskImage"
    category = "suspicious"
    severity = "low"
    confidence = "medium"
    description = "A small disk image with a shortcut beside a script or library, the usual way around the mark of the web"
    reference = "https://attack.mitre.org/techniques/T1553/005/"
    false_positives = "discs with drivers that carry a shortcut to their manual"
  strings:
    $volume = "\x01CD001\x01"
    $shortcut = /[A-Z0-9_-]{1,30}\.LNK;1/ nocase
    $code = /[A-Z0-9_-]{1,30}\.(DLL|JSE?|VBS|VBE|WSF|HTA|BAT|CMD|PS1);1/ nocase
  condition:
    filesize < 16MB and $volume and $shortcut and $code
}
