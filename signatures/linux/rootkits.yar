/* Libraries and kernel modules that hide something. The names of the functions are what they cannot hide. */

rule library_hides_processes
{
  meta:
    id = "BKL-LNX-0020"
    threat_name = "Rootkit.Linux.Preload.Processes"
    category = "rootkit"
    severity = "high"
    confidence = "high"
    description = "A library that replaces the reading of folders and looks up the names of processes while it does so"
    reference = "https://attack.mitre.org/techniques/T1014/"
    false_positives = "none known: other wrappers of these functions do not look at processes"
  strings:
    $readdir = "\x00readdir\x00"
    $readdir64 = "\x00readdir64\x00"
    $next = "\x00dlsym\x00"
    $descriptor = "/proc/self/fd/%d"
    $status = /\/proc\/%[sd]\/(stat|status|cmdline|comm|environ)\x00/
  condition:
    uint32be(0) == 0x7F454C46 and uint16(16) == 3 and filesize < 512KB and all of them
}

rule library_hides_and_lets_in
{
  meta:
    id = "BKL-LNX-0021"
    threat_name = "Rootkit.Linux.Preload.Backdoor"
    category = "rootkit"
    severity = "high"
    confidence = "high"
    description = "A library that replaces the reading of folders together with connections or sign-ins, and knows the file that loads it everywhere"
    reference = "https://attack.mitre.org/techniques/T1014/"
    false_positives = "none known"
  strings:
    $preload = "ld.so.preload"
    $next = "\x00dlsym\x00"
    $readdir = /\x00readdir(64)?\x00/
    $open = /\x00(__xstat|__lxstat|lstat|open64|fopen64|unlinkat)\x00/
    $accept = "\x00accept\x00"
    $pam = /\x00(pam_authenticate|pam_open_session|pam_acct_mgmt|getpwnam)\x00/
    $pcap = "\x00pcap_loop\x00"
    $shell = /\x00\/bin\/(ba)?sh\x00/
  condition:
    uint32be(0) == 0x7F454C46 and uint16(16) == 3 and filesize < 1MB and $preload and $next and $readdir and $open and ($accept or $pam or $pcap) and $shell
}

rule library_with_hiding_environment
{
  meta:
    id = "BKL-LNX-0022"
    threat_name = "Rootkit.Linux.Preload.Environment"
    category = "rootkit"
    severity = "high"
    confidence = "high"
    description = "A library that replaces the reading of folders and lets those see all who set a secret variable"
    reference = "https://attack.mitre.org/techniques/T1014/"
    false_positives = "none known"
  strings:
    $readdir = /\x00readdir(64)?\x00/
    $next = "\x00dlsym\x00"
    $getenv = "\x00getenv\x00"
    $secret = /\x00(HIDE_THIS_SHELL|ROOTKIT\w{0,16}|HIDEME\w{0,12}|MAGIC_GID|HIDE_PID\w{0,8}|SHELL_PASSWD|HIDDEN_PORT\w{0,4}|\/proc\/net\/tcp6?)\x00/
    $network = /\x00\/proc\/net\/tcp6?\x00/
    $open = /\x00(fopen|fopen64|open|open64)\x00/
  condition:
    uint32be(0) == 0x7F454C46 and uint16(16) == 3 and filesize < 512KB and $readdir and $next and $secret and $open and ($getenv or $network)
}

rule kernel_module_hides
{
  meta:
    id = "BKL-LNX-0023"
    threat_name = "Rootkit.Linux.Module"
    category = "rootkit"
    severity = "high"
    confidence = "high"
    description = "A kernel module that redirects the listing of folders or signals, or hides network connections"
    reference = "https://attack.mitre.org/techniques/T1014/"
    false_positives = "none known: security modules of vendors use hooks of the kernel for this"
  strings:
    $module = /\x00?vermagic=\d\.\d/
    $listing = /\b(__x64_)?sys_getdents64\b|\b(fh|hook|hooked|new|orig|hacked)_(sys_)?getdents(64)?\b/
    $signal = /\b__x64_sys_kill\b|\b(fh|hook|hooked|new|orig|hacked)_(sys_)?kill\b/
    $network = /\b(tcp4|tcp6|udp4)_seq_show\b/
    $redirect = /\b(kallsyms_lookup_name|ftrace_set_filter_ip|register_ftrace_function|sys_call_table|register_kprobe|register_kretprobe)\b/
  condition:
    uint32be(0) == 0x7F454C46 and uint16(16) == 1 and filesize < 4MB and $module and $redirect and 2 of ($listing, $signal, $network)
}

rule kernel_module_source_hides
{
  meta:
    id = "BKL-LNX-0024"
    threat_name = "Rootkit.Linux.Module.Source"
    category = "rootkit"
    severity = "medium"
    confidence = "high"
    description = "Source of a kernel module that redirects the listing of folders and takes itself off the list of modules"
    reference = "https://attack.mitre.org/techniques/T1014/"
    false_positives = "teaching material with the whole source"
  strings:
    $license = /\bMODULE_LICENSE\s{0,2}\(/
    $listing = /\b(hook|hooked|new|orig|hacked|fake|asmlinkage\s{1,4}\w{1,12}(\s{1,4}\w{1,12})?\s{1,4}\w{1,16})_?(sys_)?getdents(64)?\b/
    $unlist = /\blist_del(_init)?\s{0,2}\(\s{0,2}&\s{0,2}(THIS_MODULE->|__this_module\.)list\b/
    $redirect = /\b(sys_call_table|ftrace_set_filter_ip|register_ftrace_function|write_cr0|register_kretprobe)\b/
  condition:
    filesize < 512KB and all of them
}
