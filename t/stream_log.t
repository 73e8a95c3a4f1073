#!/usr/bin/perl

# The access log of calls and the variables of a call.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET;
use Test::More;
use Mesh::Dubbo;
use Mesh::Peer;
use Mesh::Port qw(free_port);
use Mesh::Test;
use Time::HiRes qw(sleep);

my $calls = $ENV{TEST_LONG} ? 1_000_000 : 100_000;

my $t = Mesh::Test->new(timeout => $ENV{TEST_LONG} ? 1800 : 300);
my $peer = Mesh::Peer->new(name => 'provider', methods => {
    fail => { exception => 'no luck' },
    broken => { status => 70, error => 'broken' },
});

my $syslog = IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.1')
    or die "cannot listen for syslog: $!";

my %vars = (peer => $peer->port, dead => free_port(),
            syslog => $syslog->sockport);


sub conf {
    my $conf = <<'CONF';
mesh {
    service com.example.Greeter:1.0.0 {
        endpoint 127.0.0.1:%%peer%%;
    }

    service red/com.example.Greeter:1.0.0 {
        endpoint 127.0.0.1:%%peer%%;
    }

    service com.example.Empty {
    }

    service com.example.Dead {
        endpoint 127.0.0.1:%%dead%%;
    }
}

stream {
    map $mesh_method $kind {
        sayHello  hello;
        getUser   "read $mesh_request_id";
        default   other;
    }

    map $mesh_attachment_tag $tag {
        ''       none;
        default  "tag=$mesh_attachment_tag";
    }

    map $mesh_app $application {
        default $mesh_app;
    }

    map $mesh_method $logged {
        quiet    0;
        silent   '';
        default  1;
    }

    mesh_log_format names '$mesh_protocol $mesh_service $mesh_interface '
                          '$mesh_method $mesh_version $mesh_group';
    mesh_log_format ends '$mesh_request_id $mesh_status $mesh_result '
                         '$mesh_error $mesh_upstream_addr '
                         '$mesh_upstream_tries $mesh_request_time '
                         '$mesh_request_length $mesh_response_length';
    mesh_log_format who '$mesh_caller $mesh_app '
                        '$mesh_attachment_dubbo_tag$mesh_attachment_none';
    mesh_log_format json escape=json '{"m":"$mesh_method",'
                                     '"a":"$mesh_attachment_dubbo_tag",'
                                     '"k":"$kind"}';
    mesh_log_format none escape=none '[$mesh_method]'
                                     '[$mesh_attachment_dubbo_tag][$kind]';
    mesh_log_format plain '[$mesh_method][$mesh_attachment_dubbo_tag][$kind]';
    mesh_log_format maps '$mesh_method $kind $tag $application $set '
                         '${server_addr}:$server_port $remote_port '
                         '$connection $mesh_route';
    mesh_log_format many '$mesh_request_id $mesh_method $kind';
    mesh_log_format method '$mesh_method';
    mesh_log_format stamp '$msec $time_iso8601 $time_local';
    log_format session '$status $mesh_method $kind $mesh_protocol';

    mesh_access_log %%DIR%%/main.log method;

    server {
        listen 127.0.0.1:%%PORT_rpc%%;
        mesh_pass dubbo;
        mesh_connect_timeout 100ms;

        mesh_access_log %%DIR%%/mesh.log;
        mesh_access_log %%DIR%%/names.log names;
        mesh_access_log %%DIR%%/ends.log ends;
        mesh_access_log %%DIR%%/who.log who;
        mesh_access_log %%DIR%%/json.log json;
        mesh_access_log %%DIR%%/none.log none;
        mesh_access_log %%DIR%%/plain.log plain;
        mesh_access_log %%DIR%%/maps.log maps;
        mesh_access_log %%DIR%%/stamp.log stamp;
        mesh_access_log %%DIR%%/error.calls method if=$mesh_error;
        mesh_access_log %%DIR%%/logged.log method if=$logged;
        mesh_access_log %%DIR%%/never.log method if=0;
        mesh_access_log %%DIR%%/always.log method if=00;
        mesh_access_log syslog:server=127.0.0.1:%%syslog%%,tag=rpc many;
        access_log %%DIR%%/session.log session;

        set $set "stored $remote_port";
    }

    server {
        listen 127.0.0.1:%%PORT_inherits%%;
        mesh_pass dubbo;
    }

    server {
        listen 127.0.0.1:%%PORT_off%%;
        mesh_pass dubbo;
        mesh_access_log off;
    }

    server {
        listen 127.0.0.1:%%PORT_flush%%;
        mesh_pass dubbo;
        mesh_access_log %%DIR%%/flush.log method buffer=64k flush=2s;
    }

    server {
        listen 127.0.0.1:%%PORT_buffer%%;
        mesh_pass dubbo;
        mesh_access_log %%DIR%%/buffer.log method buffer=4k;
        mesh_access_log %%DIR%%/buffer.log names buffer=4k;
    }

    server {
        listen 127.0.0.1:%%PORT_full%%;
        mesh_pass dubbo;
        mesh_access_log /dev/full method;
        mesh_access_log %%DIR%%/beside.log method;
    }

    server {
        listen 127.0.0.1:%%PORT_many%%;
        mesh_pass dubbo;
        mesh_access_log %%DIR%%/many.log many buffer=64k;
    }
}
CONF

    $conf =~ s/%%([a-z]+)%%/$vars{$1}/g;

    return $conf;
}

$t->write_conf(conf());
$t->run;


my %greeter = (service => 'com.example.Greeter', version => '1.0.0',
               args => ['world']);


# lines of a log once there are as many

sub lines {
    my ($name, $n) = @_;

    my @lines;

    wait_for {
        @lines = split /^/, $t->read_file($name);
        @lines >= $n
    } 10;

    chomp @lines;

    return @lines;
}


sub line { (lines(@_))[$_[1] - 1] // '' }


###############################################################################
# facts and ends


my $client = $t->tcp('rpc');
my $port = $client->socket->sockport;
my $request = Mesh::Dubbo::request(%greeter, id => 7);

$client->send($request);
my $answer = $client->recv_frame;

is($answer->{value}, 'world', 'a call is answered');

my $upstream = '127.0.0.1:' . $peer->port;
my $sent = length $request;
my $got = length $answer->{raw};
my $time = qr/\d+\.\d{6}/;

like(line('mesh.log', 1),
     qr{^127\.0\.0\.1\ \[\d+/\w{3}/\d{4}:\d\d:\d\d:\d\d\ [+-]\d{4}\]
        \ dubbo\ com\.example\.Greeter:1\.0\.0\ sayHello\ 20\ ok\ -
        \ $upstream\ $time\ $sent/$got$}x, 'the predefined format');

is(line('names.log', 1), 'dubbo com.example.Greeter:1.0.0 com.example.Greeter '
                         . 'sayHello 1.0.0 -', 'names');
like(line('ends.log', 1), qr/^7 20 ok - $upstream 1 $time $sent $got$/,
     'a success');
like(line('stamp.log', 1), qr{^\d{10}\.\d{3}
     \ \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d
     \ \d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d\ [+-]\d{4}$}x, 'times');
is(line('who.log', 1), '127.0.0.1 - --', 'no application, no attachments');

$client->call(%greeter, id => -5, method => 'fail');
like(line('ends.log', 2), qr/^-5 20 exception - $upstream 1 $time \d+ \d+$/,
     'an exception');

$client->call(%greeter, id => 9, method => 'broken');
like(line('ends.log', 3), qr/^9 70 error - $upstream 1 $time \d+ \d+$/,
     'an error of the provider');

$client->call(service => 'com.example.Unknown', id => 10);
like(line('ends.log', 4), qr/^10 60 error no_route - 0 $time \d+ \d+$/,
     'no route');
is(line('names.log', 4), 'dubbo com.example.Unknown com.example.Unknown '
                         . 'sayHello - -', '... and its names');

$client->call(service => 'com.example.Empty', id => 11);
like(line('ends.log', 5), qr/^11 60 error no_endpoint - 0 $time \d+ \d+$/,
     'no endpoint');

$client->call(service => 'com.example.Dead', id => 12);
like(line('ends.log', 6),
     qr/^12 70 error upstream_closed 127\.0\.0\.1:$vars{dead} /,
     'a dead endpoint');

$client->send(Mesh::Dubbo::request(%greeter, id => 13, oneway => 1));
like(line('ends.log', 7), qr/^13 - ok - $upstream 1 $time $sent 0$/,
     'a one-way call has no status');

is(join(' ', lines('error.calls', 3)), 'sayHello sayHello sayHello',
   'if= with a variable of the call');


###############################################################################
# attachments, maps, escaping


$client->call(%greeter, group => 'red', id => 14, method => 'getUser',
              attachments => { 'Dubbo.Tag' => 'gray', tag => 'x',
                               'remote.application' => 'shop' });

is(line('who.log', 8), '127.0.0.1 shop gray-', 'application and attachment');
is(line('names.log', 8), 'dubbo red/com.example.Greeter:1.0.0 '
                         . 'com.example.Greeter getUser 1.0.0 red',
   'a group');
like(line('maps.log', 1), qr/^sayHello hello none  stored $port /,
     'maps of the first call');
like(line('maps.log', 8), qr{^getUser\ read\ 14\ tag=x\ shop\ stored\ $port
     \ 127\.0\.0\.1:@{[ $t->port('rpc') ]}\ $port\ \d+\ -$}x,
     'maps of another call of the session');

$client->call(%greeter, id => 15, method => 'a"b\\c' . "\x01\x7f",
              attachments => { 'dubbo-tag' => "\x{e9}\n" });

is(line('plain.log', 9), '[a\x22b\x5Cc\x01\x7F][\xC3\xA9\x0A][other]',
   'the default escaping');
is(line('json.log', 9), qq({"m":"a\\"b\\\\c\\u0001\x7f","a":"\xc3\xa9\\n",)
                        . '"k":"other"}', 'escape=json');
is(line('json.log', 1), '{"m":"sayHello","a":"","k":"hello"}',
   '... where absent is nothing');
is(join("\n", (lines('none.log', 10))[8, 9]),
   "[a\"b\\c\x01\x7f][\xc3\xa9\n][other]", 'escape=none');
is(line('none.log', 1), '[sayHello][][hello]', '... where absent is nothing');

$client->call(%greeter, id => 16, method => $_) for qw(quiet silent loud);

is(line('always.log', 12), 'loud', 'if= with a constant that is true');
is(join(' ', (lines('logged.log', 10))[-1]), 'loud', 'if= with a map');
is(scalar(grep { /quiet|silent/ } lines('logged.log', 10)), 0,
   '... that is false for other calls');
is($t->read_file('never.log'), '', 'if=0');


# a long line takes another way

my $long = 'x' x 5000;

$client->call(%greeter, id => 17, method => 'last',
              attachments => { 'dubbo.tag' => $long });
is(line('plain.log', 13), "[last][$long][other]", 'a long line');


sub datagram {
    vec(my $in = '', fileno $syslog, 1) = 1;
    select $in, undef, undef, 5 or return '';
    recv $syslog, my $message, 2000, 0;

    return $message;
}

like(datagram(), qr{^<190>\w{3}\ [\ \d]\d\ \d\d:\d\d:\d\d\ \S+
                    \ rpc:\ 7\ sayHello\ hello$}x, 'syslog');

$client->close;
is(line('session.log', 1), '200 - other -',
   'a session has no call once it is over');


# a full disk

my $full = 'write\(\) to "/dev/full" failed';

$t->allow_log($full);
$client = $t->tcp('full');

for (1 .. 3) {
    is($client->call(%greeter, method => 'full')->{value}, 'world',
       "a full disk fails no call: $_");
    sleep 1.1 if $_ == 2;
}

is(scalar lines('beside.log', 3), 3, '... nor another log');
is(scalar(grep { /\[alert\]/ } $t->grep_log(qr/$full/)), 1,
   '... and is reported once in a minute');
$client->close;


# inheritance

is($t->read_file('main.log'), '', 'a server with logs does not inherit');

my %served = map { $_ => $t->tcp($_) } qw(inherits off flush buffer);
$served{$_}->call(%greeter, method => $_) for sort keys %served;

is(join(' ', lines('main.log', 1)), 'inherits',
   'a server without does, unless it is off');


###############################################################################
# buffers


is($t->read_file('flush.log'), '', 'a line stays in the buffer');
is(line('flush.log', 1), 'flush', '... until flush= is over');
is($t->read_file('buffer.log'), '', '... for ever without flush=');

my $names = 'dubbo com.example.Greeter:1.0.0 com.example.Greeter buffer '
            . '1.0.0 -';

$served{buffer}->call(%greeter, method => 'buffer') for 1 .. 60;

my @buffered = lines('buffer.log', 2);

cmp_ok(scalar @buffered, '<', 122, '... until it is full');
is("@buffered[0, 1]", "buffer $names", '... and the lines are whole');


# USR1: what is buffered still goes to the old file

rename $t->dir . '/buffer.log', $t->dir . '/buffer.old';
$t->signal('USR1');

is(scalar lines('buffer.old', 122), 122, 'reopening flushes');
ok(wait_for(sub { -e $t->dir . '/buffer.log' }, 5), '... and makes a new file');

$served{buffer}->call(%greeter, method => 'new');
$_->close for values %served;

# the old worker leaves

ok($t->reload(gone => 1), 'reload');
is(line('buffer.log', 1), 'new', 'a leaving worker flushes');
is(scalar lines('buffer.old', 122), 122, '... to the new file only');


###############################################################################
# very many calls of one session


my %kind = (sayHello => sub { 'hello' }, getUser => sub { "read $_[0]" },
            setUser => sub { 'other' });
my @methods = sort keys %kind;

# the header with another id before the same body

my @bodies = map { substr Mesh::Dubbo::request(service => 'com.example.Empty',
                                               method => $_), 12 } @methods;

sub batch {
    my ($from, $to) = @_;

    return join '', map {
        pack('n C C q>', 0xdabb, 0xc2, 0, $_) . $bodies[$_ % 3]
    } $from .. $to;
}


sub memory {
    my ($worker) = $t->workers;
    my ($kb) = $t->read_file("/proc/$worker/status") =~ /^VmRSS:\s+(\d+)/m;

    return $kb;
}

$client = $t->tcp('many');

my $length;
my $before;
my $step = 500;

for (my $id = 0; $id < $calls; $id += $step) {
    $client->send(batch($id, $id + $step - 1));

    unless ($length) {
        my @frames = $client->recv_frames($step, 20);
        $length = $step * length $frames[0]{raw};
        next;
    }

    my $bytes = $client->recv_bytes($length, 20);

    if (length $bytes != $length) {
        fail("answers to the calls from $id");
        last;
    }

    $before //= memory() if $id > $calls / 10;
}

# freed memory stays with the sanitizer

my $grown = Mesh::Test::sanitized() ? 0 : memory() - $before;

cmp_ok($grown, '<', 256, "$calls calls of a session take no memory")
    or diag("$grown kB");

$client->close;
$t->stop;

my %seen;
my $wrong = 0;

open my $many, '<', $t->dir . '/many.log' or die "no many.log: $!";

while (<$many>) {
    my ($id, $rest) = /^(\d+) (.*)$/ or $wrong++, next;
    my $method = $methods[$id % 3];

    $wrong++ if $seen{$id}++ || $rest ne "$method " . $kind{$method}->($id);
}

is(scalar keys %seen, $calls, 'each is logged');
is($wrong, 0, '... with its own values');

$t->done;
