package Mesh::Test;

# One nginx with the mesh modules on free loopback ports, in a directory of
# its own.  A test is
#
#   my $t = Mesh::Test->new;
#   $t->write_conf('stream { server { listen 127.0.0.1:%%PORT_mesh%%; ... } }');
#   $t->run;
#   ... is(...) ...
#   $t->done;
#
# done() is the rest of the plan: nginx quits in time and with 0, it logged
# nothing of [alert], [crit] or [emerg] that the test did not allow, no
# sanitizer spoke, no process is left.
#
# Environment: TEST_NGINX_BINARY, TEST_NGINX_LOAD (what to load, may be empty
# for a static nginx), TEST_NGINX_GLOBALS, TEST_NGINX_LEAVE (keeps the
# directory), TEST_NGINX_VERBOSE, TEST_NGINX_DEBUG (error log at "debug"),
# TEST_NGINX_TIMEOUT.

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Path qw(remove_tree);
use File::Temp qw(tempdir);
use HTTP::Tiny;
use JSON::PP;
use POSIX qw(WNOHANG);
use Test::More ();
use Time::HiRes qw(time sleep);

use Mesh::Client;
use Mesh::Peer;
use Mesh::Port qw(free_port);

our @EXPORT_OK = qw(wait_for);
our @EXPORT = qw(wait_for);

my $root = abs_path(dirname(__FILE__) . '/../../..');
my @all;


# nothing a test does hangs: the alarm dies in the test, END cleans up
# (again, if some eval swallowed it)

$SIG{ALRM} = sub { alarm 5; die "the test did not end in time\n" };
$SIG{$_} = sub { exit 1 } for qw(INT TERM HUP);
$SIG{PIPE} = 'IGNORE';


# wait_for { condition } seconds, "what": its value once it is true; when the
# time is over false, or the test dies if it said what it waits for

sub wait_for (&;$$) {
    my ($condition, $seconds, $what) = @_;

    # a bound on failure, so generous where everything is slow
    my $until = time + ($seconds // 5) * (sanitized() ? 3 : 1);

    for ( ;; ) {
        my $value = $condition->();
        return $value if $value;
        last if time > $until;
        sleep 0.01;
    }

    die "waited in vain for $what\n" if $what;

    return;
}


# new(timeout => seconds of the whole test)

sub new {
    my ($class, %o) = @_;

    my $self = bless {
        dir => tempdir('nginx-mesh-XXXXXX', TMPDIR => 1),
        binary => $ENV{TEST_NGINX_BINARY} || '/usr/sbin/nginx',
        ports => {}, allow => [], owner => $$,
    }, $class;

    $self->{binary} = abs_path($self->{binary}) || $self->{binary};

    Test::More::BAIL_OUT("no nginx at $self->{binary}, run util/setup")
        unless -x $self->{binary};

    # a test's own workers may be of another user
    chmod 0755, $self->{dir};

    # a test's variables are gone before END, what they started is not
    push @all, $self;

    alarm($ENV{TEST_NGINX_TIMEOUT}
          || ($o{timeout} || 120) * (sanitized() ? 3 : 1));

    return $self;
}


sub dir    { $_[0]{dir} }
sub root   { $root }
sub binary { $_[0]{binary} }


# is nginx built with the sanitizers, and with the modules linked in?

sub sanitized { defined $ENV{TEST_NGINX_SANITIZE} }

sub static {
    defined $ENV{TEST_NGINX_LOAD} && $ENV{TEST_NGINX_LOAD} =~ /^\s*$/;
}


# the port %%PORT_name%% stands for

sub port {
    my ($self, $name) = @_;
    return $self->{ports}{$name} //= free_port();
}


###############################################################################
# configuration and files


sub expand {
    my ($self, $text) = @_;

    $text =~ s/%%PORT_(\w+)%%/$self->port($1)/ge;
    $text =~ s/%%DIR%%/$self->{dir}/g;
    $text =~ s/%%ROOT%%/$root/g;

    return $text;
}


# the modules' load_module lines; libnginx-mod-stream is needed first where
# stream is dynamic

sub load {
    my ($self) = @_;

    if (defined(my $load = $ENV{TEST_NGINX_LOAD})) {
        return '' if $self->{bare};
        return join '', map { /load_module/ ? "$_\n" : "load_module $_;\n" }
            grep { /\S/ } split /[\n:]/, $load;
    }

    my ($stream) = grep { -f }
        map { "$_/ngx_stream_module.so" }
        qw(/usr/lib/nginx/modules /usr/share/nginx/modules);

    my @mesh = map { "$root/build/ngx_mesh${_}_module.so" }
               '', '_stream', '_http';
    @mesh = () if $self->{bare};

    return join '', map { "load_module $_;\n" } grep { defined && -f }
        $stream, @mesh;
}


# what a test need not write: it may, and then its own counts

sub prelude {
    my ($self, $text) = @_;

    my $level = $ENV{TEST_NGINX_DEBUG} ? 'debug' : 'info';
    my @lines = ($self->load, "daemon off;\n", "pid $self->{dir}/nginx.pid;\n",
                 "error_log $self->{dir}/error.log $level;\n");

    push @lines, "user root;\n" if $> == 0 && $text !~ /^\s*user\s/m;
    push @lines, "worker_processes 1;\n"
        if $text !~ /^\s*worker_processes\s/m;
    push @lines, "$ENV{TEST_NGINX_GLOBALS}\n" if $ENV{TEST_NGINX_GLOBALS};

    # a binary upgrade passes no environment on but this
    push @lines, map { "env $_;\n" }
        qw(ASAN_OPTIONS UBSAN_OPTIONS LSAN_OPTIONS) if sanitized();

    return join '', @lines;
}


sub full_conf {
    my ($self, $text) = @_;

    $text = $self->expand($text);

    # http's defaults are paths of the system
    my $http = "access_log $self->{dir}/access.log;\n" . join '',
        map { "    ${_}_temp_path $self->{dir}/$_;\n" }
        qw(client_body proxy fastcgi uwsgi scgi);

    $text =~ s/^([ \t]*http\s*\{)/$1\n    $http/m
        if $text !~ /client_body_temp_path/;

    # last, as it ends the time for load_module
    $text .= "\nevents {\n}\n" if $text !~ /^\s*events\b/m;

    return $self->prelude($text) . $text;
}


# write_conf(text, bare => 1): bare loads no mesh module

sub write_conf {
    my ($self, $text, %o) = @_;

    local $self->{bare} = $o{bare};

    return $self->write_file('nginx.conf', $self->full_conf($text));
}


# check_conf(text): (exit status, what nginx -t says) of the text, without
# touching the written configuration; without text of that

sub check_conf {
    my ($self, $text, %o) = @_;

    my $name = 'nginx.conf';

    if (defined $text) {
        local $self->{bare} = $o{bare};
        $name = 'check.conf';
        $self->write_file($name, $self->full_conf($text));
    }

    my $pid = open my $out, '-|' // die "fork: $!";

    if ($pid == 0) {
        open STDERR, '>&', \*STDOUT;
        # after -t nginx ends without freeing its pools
        $ENV{ASAN_OPTIONS} = 'detect_leaks=0:exitcode=99';
        $self->exec_nginx($name, 'check.log', '-t');
    }

    my $said = join '', <$out>;
    close $out;

    return ($? >> 8 || $? & 127, $said);
}


sub exec_nginx {
    my ($self, $conf, $log, @more) = @_;

    $ENV{ASAN_OPTIONS} //= 'detect_leaks=1:abort_on_error=0:exitcode=99';
    $ENV{UBSAN_OPTIONS} //= 'print_stacktrace=1';
    $ENV{LSAN_OPTIONS} //= "suppressions=$root/t/lib/lsan.supp"
                           . ':print_suppressions=0';

    exec { $self->{binary} } $self->{binary}, '-p', "$self->{dir}/",
        '-c', "$self->{dir}/$conf", '-e', "$self->{dir}/$log", @more
        or POSIX::_exit(127);
}


# a name without a slash at its start is one in the test's directory

sub path_of {
    my ($self, $name) = @_;
    return $name =~ m{^/} ? $name : "$self->{dir}/$name";
}


sub write_file {
    my ($self, $name, $content) = @_;

    my $path = $self->path_of($name);

    open my $file, '>:raw', $path or die "cannot write $path: $!";
    print $file $content;
    close $file or die "cannot write $path: $!";

    return $path;
}


sub read_file {
    my ($self, $name) = @_;

    open my $file, '<:raw', $self->path_of($name) or return '';
    local $/;

    return <$file> // '';
}


# a self-signed certificate of 127.0.0.1: the paths of it and of its key

sub certificate {
    my ($self, $name, $cn) = @_;

    my ($crt, $key) = map { $self->path_of("$name.$_") } qw(crt key);

    my $host = $cn // $name;
    my $command = join ' ', 'openssl req -x509 -newkey ec -nodes -days 2',
        "-pkeyopt ec_paramgen_curve:P-256 -subj /CN=$host",
        "-addext subjectAltName=DNS:$host,IP:127.0.0.1",
        "-keyout $key -out $crt 2>&1";
    my $said = `$command`;

    die "openssl made no certificate: $said\n" if $?;

    return ($crt, $key);
}


sub log { $_[0]->read_file('error.log') }


# lines of the error log that match; wait_log() gives them time to appear

sub grep_log {
    my ($self, $regex) = @_;
    return grep { $_ =~ $regex } split /^/, $self->log;
}


sub wait_log {
    my ($self, $regex, $seconds) = @_;
    return wait_for(sub { scalar $self->grep_log($regex) }, $seconds);
}


# what a test expects to be logged, e.g. of a worker it killed itself

sub allow_log {
    my ($self, @regex) = @_;
    push @{ $self->{allow} }, @regex;
}


###############################################################################
# the process


sub run {
    my ($self) = @_;

    die "nginx is running already" if $self->{pid};

    unlink "$self->{dir}/nginx.pid";

    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        open STDOUT, '>>', "$self->{dir}/stdout";
        open STDERR, '>>', "$self->{dir}/stderr";
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP PIPE ALRM);
        $self->exec_nginx('nginx.conf', 'error.log');
    }

    @$self{qw(pid started)} = ($pid, 1);

    my $leases = $self->leases;

    # sockets listen before the pid file is there; workers come after it
    my $up = wait_for {
        $self->gone || (-s "$self->{dir}/nginx.pid"
                        && $self->workers >= $self->configured)
    } 30;

    if ($up && $self->{pid}) {

        # the API takes no writes before
        my $conf = $self->read_file('nginx.conf');
        wait_for { $self->leases > $leases } 5
            if $conf =~ /state_path\s+(?!off)/ && $conf =~ /write=on/;

        return $self;
    }

    my $how = $self->{pid} ? 'did not start in time'
                           : "ended with status $self->{status}";
    $self->kill_all;

    Test::More::diag($self->read_file('stderr'), $self->log);
    die "nginx $how\n";
}


# how often an agent got the table

sub leases { scalar(() = $_[0]->log =~ /mesh agent: has the lease/g) }


# has the master ended?  Then its status is known.

sub gone {
    my ($self) = @_;

    return 1 unless $self->{pid};
    return 0 if waitpid($self->{pid}, WNOHANG) != $self->{pid};

    $self->{status} = $? & 127 ? "signal " . ($? & 127) : $? >> 8;
    delete $self->{pid};

    return 1;
}


sub pid { $_[0]{pid} }
sub status { $_[0]{status} }


# children of the master by what their title says

sub children {
    my ($self, $title) = @_;

    my $master = $self->{pid} // return;
    my @pids;

    for my $dir (glob '/proc/[0-9]*') {
        my ($pid) = $dir =~ /(\d+)$/;

        open my $stat, '<', "$dir/stat" or next;
        my $line = <$stat> // next;
        my ($state, $parent) = $line =~ /\) (\S) (\d+) [^)]*$/ or next;
        next if $parent != $master || $state eq 'Z';

        open my $cmd, '<', "$dir/cmdline" or next;
        my $name = <$cmd> // '';
        push @pids, $pid if $name =~ $title;
    }

    # no "return sort": that is undefined where a count is wanted
    @pids = sort { $a <=> $b } @pids;

    return @pids;
}


# those that serve, not those that are leaving

sub workers {
    my ($self) = @_;
    return $self->children(qr/^nginx: worker process(?! is shutting down)/);
}

# how many the written configuration wants

sub configured {
    my ($self) = @_;

    my $conf = $self->read_file('nginx.conf');

    return 0 if $conf =~ /^\s*master_process\s+off/m;
    return $conf =~ /^\s*worker_processes\s+(\d+)/m ? $1 : 1;
}

sub leaving {
    my ($self) = @_;
    return $self->children(qr/^nginx: worker process is shutting down/);
}

sub helpers {
    my ($self) = @_;
    return $self->children(qr/^nginx: cache manager process/);
}


sub signal {
    my ($self, $signal, $pid) = @_;

    $pid //= $self->{pid} // die "nginx is not running";

    return kill $signal, $pid;
}


# reload(gone => 1): true once there are new workers and the old ones have
# stopped listening (gone: have ended); false when nginx refused

sub reload {
    my ($self, %o) = @_;

    my %old = map { $_ => 1 } $self->workers;
    my $emerg = () = $self->grep_log(qr/\[emerg\]/);

    $self->signal('HUP');

    my $refused;

    wait_for {
        my @now = $self->workers;

        $refused = $self->gone
                   || $self->grep_log(qr/\[emerg\]/) > $emerg;

        $refused || (@now >= $self->configured && !grep { $old{$_} } @now);
    } $o{timeout} // 30 or return 0;

    return 0 if $refused;
    return 1 unless $o{gone};

    return wait_for {
        !grep { $old{$_} } $self->leaving
    } $o{timeout} // 30;
}


# quit(seconds) and term(seconds): the exit status, undef if it did not end.
# Who asks knows how it ended, so done() no longer does; a test that ends the
# master in another way asks here too.

sub quit { $_[0]->end('QUIT', $_[1]) }
sub term { $_[0]->end('TERM', $_[1]) }


sub end {
    my ($self, $signal, $seconds) = @_;

    unless ($self->gone) {
        $self->signal($signal);
        wait_for { $self->gone } $seconds // 10 or return;
    }

    $self->{started} = 0;

    return $self->{status};
}


# stop(seconds): the same as a test

sub stop {
    my ($self, $seconds) = @_;

    my $status = $self->quit($seconds);

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $ok = Test::More::ok(defined $status && $status eq '0',
                            'nginx quits in time and with 0')
        or Test::More::diag(defined $status ? "status $status"
                                            : 'it is still running');

    $self->kill_all unless defined $status;
    $self->{started} = 0;

    return $ok;
}


# by what is known of them, as the master may be dead already: whoever has
# our configuration or, being its worker, our directory's log open

sub leftovers {
    my ($self) = @_;

    my @pids;

    for my $dir (glob '/proc/[0-9]*') {
        my ($pid) = $dir =~ /(\d+)$/;

        next if $pid == $$ || (readlink "$dir/exe" // '') !~ m{/nginx\b};

        push @pids, $pid if grep { (readlink // '')
                                   =~ m{^\Q$self->{dir}\E/error\.log} }
                            glob "$dir/fd/*";
    }

    return @pids;
}


sub kill_all {
    my ($self) = @_;

    kill 'KILL', grep { defined } $self->{pid}, $self->leftovers;
    wait_for { $self->gone && !$self->leftovers } 5;
}


###############################################################################
# talking to it


# a Mesh::Client to a named or numbered port

sub tcp {
    my ($self, $port, %o) = @_;

    $port = $self->port($port) if $port =~ /^[a-z_]\w*$/i;

    return Mesh::Client->connect($port, %o);
}


# http(method, path, body, port => name, headers => {}): HTTP::Tiny's answer,
# with "json" where the body is JSON.  A body that is a reference is sent as
# JSON.

sub http {
    my ($self, $method, $path, $body, %o) = @_;

    my %headers = %{ $o{headers} // {} };

    if (ref $body) {
        $headers{'content-type'} //= 'application/json';
        $body = JSON::PP->new->utf8->canonical->encode($body);
    }

    my $http = HTTP::Tiny->new(timeout => $o{timeout} // 10, keep_alive => 0);
    my $port = $self->port($o{port} // 'http');

    my $r = $http->request($method, "http://127.0.0.1:$port$path", {
        headers => \%headers, defined $body ? (content => $body) : (),
    });

    if (($r->{headers}{'content-type'} // '') =~ /json/) {
        $r->{json} = eval { JSON::PP->new->utf8->decode($r->{content}) };
    }

    return $r;
}


# metrics(path, port name): 'name{label="v",...}' => value, labels as printed.
# The page has to be what Prometheus reads, so a line of another form dies.

sub metrics {
    my ($self, $path, $port) = @_;

    my $r = $self->http('GET', $path // '/metrics', undef,
                        port => $port // 'http');

    die "no metrics: $r->{status} $r->{reason}\n" unless $r->{success};

    my %value;

    for my $line (split /\n/, $r->{content}) {
        next if $line =~ /^\s*$/ || $line =~ /^# (?:HELP|TYPE|EOF)\b/;

        my ($name, $value) = $line =~ m{
            ^ ( [a-zA-Z_:][\w:]*
                (?: \{ (?: \w+ = " (?: [^"\\] | \\. )* " ,? )* \} )? )
            \s+ ( [-+]? (?: [\d.]+ (?: e[-+]?\d+ )? | Inf ) | NaN )
            (?: \s+ \d+ )? $
        }xi or die "no line of Prometheus: $line\n";

        die "metric $name is there twice\n" if exists $value{$name};
        $value{$name} = 0 + $value;
    }

    return \%value;
}


# sum(metrics, name, label => value...): over all series that have the labels

sub sum {
    my ($self, $metrics, $name, %labels) = @_;

    my $sum = 0;

    SERIES:
    for my $series (keys %$metrics) {
        next unless $series =~ /^\Q$name\E(?:\{|$)/;

        for (keys %labels) {
            next SERIES unless $series =~ /[{,]$_="\Q$labels{$_}\E"/;
        }

        $sum += $metrics->{$series};
    }

    return $sum;
}


###############################################################################
# the end


sub done {
    $_->finish for @all;
    Test::More::done_testing();
}


# the closing tests of one instance, before the test's end

sub finish {
    my ($self) = @_;

    return if $self->{finished}++;

    # peers first would make failures of nginx's, so they go after it
    $self->stop if $self->{started};
    Mesh::Peer->stop_all unless grep { !$_->{finished} } @all;

    my $allow = join '|', @{ $self->{allow} };
    my @bad = grep { !length $allow || $_ !~ /$allow/ }
              $self->grep_log(qr/\[(?:alert|crit|emerg)\]/);

    Test::More::is(join('', @bad[0 .. ($#bad < 9 ? $#bad : 9)]), '',
                   'nothing of alert, crit or emerg is logged');

    my $said = join '', map { $self->read_file($_) }
               qw(error.log stderr check.log);
    my ($report) = $said
        =~ /^(.*(?:Sanitizer|runtime error).*(?:\n.*){0,40})/m;

    Test::More::is($report // '', '', 'no sanitizer speaks');

    my @left = $self->leftovers;
    Test::More::is("@left", '', 'no process is left');
    $self->kill_all if @left;

    $self->cleanup;
}


sub cleanup {
    my ($self) = @_;

    if ($ENV{TEST_NGINX_LEAVE}) {
        Test::More::diag("left: $self->{dir}");
    } else {
        remove_tree($self->{dir}) if -d $self->{dir};
    }
}


# a test that died, or forgot done(), must not look like one that passed

END {
    my $status = $?;

    alarm 0;

    for my $self (grep { !$_->{finished} && $_->{owner} == $$ } @all) {
        my @log = split /^/, $self->log;
        splice @log, 0, -20 if @log > 20;

        Test::More::diag("the test did not reach done(), its log ends:\n",
                         @log);
        $self->kill_all;
        $self->cleanup;
        $self->{finished} = 1;
        $status ||= 1;
    }

    Mesh::Peer->stop_all;
    $? = $status;
}


1;
