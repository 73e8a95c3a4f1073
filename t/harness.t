# The harness itself: without the mesh modules, so that what fails elsewhere
# is not the harness.

use strict;
use warnings;

use File::Temp;
use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(time);

use Mesh::Client;
use Mesh::Dubbo qw(request response heartbeat parse);
use Mesh::Peer;
use Mesh::Test;

my $t = Mesh::Test->new;


# frames

{
    my ($frames, $rest) = parse(
        request(id => -2, service => 'a.B', version => '1.0', method => 'm',
                group => 'g', args => ['x', \ 7, undef, { k => 'v' }],
                attachments => { tag => "\x{20ac}\x{1f600}" })
        . response(id => 2 ** 40, value => 'y' x 70_000)
        . response(id => 3, exception => 'boom')
        . response(id => 4, status => 60, error => 'no')
        . heartbeat(id => 5, serialization => 23)
        . Mesh::Dubbo::readonly() . "\xda\xbb");

    my ($q, $a, $x, $e, $h, $r) = @$frames;

    is(scalar @$frames, 6, 'frames are counted');
    is($rest, "\xda\xbb", 'a partial frame is left over');
    is("@$q{qw(kind id service version method)}", 'request -2 a.B 1.0 m',
       'a request is read');
    is_deeply($q->{args}, ['x', 7, undef, { k => 'v' }], 'its arguments');
    is($q->{descriptor}, 'Ljava/lang/String;ILjava/lang/String;'
       . 'Ljava/util/Map;', 'its descriptor');
    is_deeply($q->{attachments},
              { path => 'a.B', interface => 'a.B', version => '1.0',
                group => 'g', tag => "\x{20ac}\x{1f600}" },
              'its attachments');
    is($a->{id}, 2 ** 40, 'ids are of 64 bits');
    is($a->{value}, 'y' x 70_000, 'a chunked string is read');
    is($x->{exception}{detailMessage}, 'boom', 'an exception is read');
    is("@$e{qw(status error)}", '60 no', 'an error is read');
    is("@$h{qw(kind ser)}", 'heartbeat 23', 'a heartbeat is read');
    is($r->{kind}, 'readonly', 'READONLY is read');

    ($frames) = parse(request(serialization => 23, service => 'a.B',
                              args => ['x' x 100, \ -7, "\xe9"]));
    is_deeply($frames->[0]{args}, ['x' x 100, -7, "\xe9"], 'fastjson2');

    my $damaged = request(service => 'a.B', body => "\x052.0.2\x03ab");
    ok(parse($damaged)->[0]{damaged}, 'a damaged body is told');
    is(parse("GET / HTTP/1.0\r\n\r\n")->[0]{kind}, 'garbage',
       'bytes without the magic are told');
}


# the peer and the client, directly

my $peer = Mesh::Peer->new(
    name => 'one',
    methods => {
        slow => { delay => 0.3 },
        never => { never => 1 },
        twice => { twice => 1 },
        bytes => { split => 1 },
        bad => { garbage => 1 },
        fail => { status => 70, error => 'failed' },
        throw => { exception => 'thrown' },
        big => { size => 300_000 },
    });

{
    my $c = Mesh::Client->connect($peer->port);

    my %to = (service => 'a.B', args => ['hello']);

    is($c->call(%to)->{value}, 'hello', 'the argument comes back');
    is($c->call(service => 'a.B')->{value}, 'one', 'or the name');
    is($c->call(%to, method => 'bytes')->{value}, 'hello', 'byte by byte');
    is($c->call(%to, method => 'fail')->{error}, 'failed', 'as an error');
    is($c->call(%to, method => 'throw')->{exception}{detailMessage},
       'thrown', 'as an exception');
    is(length $c->call(%to, method => 'big')->{value}, 300_000, 'big');
    is($c->call(%to, serialization => 23)->{ser}, 23, 'in fastjson2');

    is($c->call(%to, method => 'never', timeout => 0.1), undef, 'never');

    $c->send(request(%to, id => 71, method => 'slow') . request(%to, id => 72));
    is(join(' ', map { $_->{id} } $c->recv_frames(2)), '72 71',
       'a delayed answer is overtaken');

    $c->send(request(%to, id => 73, method => 'twice'));
    is(join(' ', map { $_->{id} } $c->recv_frames(2)), '73 73',
       'an answer comes twice');

    $c->send(request(%to, id => 74), piece => 1);
    is($c->recv_frame->{id}, 74, 'a request sent byte by byte is answered');

    $c->send(heartbeat(id => 75));
    is($c->recv_frame->{kind}, 'ack', 'a heartbeat is answered');

    $c->send(request(%to, oneway => 1));
    ok(wait_for { $peer->stats->{oneways} == 1 }, 'a one-way is counted');
    is($c->recv_frame(0.05), undef, 'and not answered');

    my $s = $peer->stats;
    is($s->{requests}, 12, 'requests are counted');
    is($s->{methods}{slow}, 1, 'and by method');
    is($s->{connections}, 1, 'connections are counted');

    my @log = $peer->log;
    is("@{$log[-1]}{qw(kind service method)} @{$log[-1]{args}}",
       'oneway a.B sayHello hello', 'the log has the last request');

    $peer->readonly;
    is($c->recv_frame->{kind}, 'readonly', 'READONLY is pushed');

    $c->send(request(%to, method => 'bad'));
    is($c->recv_frame->{kind}, 'garbage', 'garbage is answered');

    $peer->rst_all;
    is($c->closed, 'reset', 'a reset is told from a close');
}

{
    $peer->set(reorder => 3);
    my $c = Mesh::Client->connect($peer->port);
    $c->send(join '', map { request(id => $_, service => 'a.B') } 1 .. 3);
    is(join(' ', map { $_->{id} } $c->recv_frames(3)), '3 2 1',
       'answers come in reverse order');

    $peer->set(reorder => 1, close_after => 2);
    $c = Mesh::Client->connect($peer->port);
    ok($c->call(service => 'a.B'), 'the first call is answered');
    ok(!$c->call(service => 'a.B'), 'the second is not');
    is($c->closed, 'eof', 'but the connection is closed');

    $peer->set(close_after => 0, readonly_after => 1);
    $c = Mesh::Client->connect($peer->port);
    $c->send(request(service => 'a.B'));
    is(join(' ', map { $_->{kind} } $c->recv_frames(2)),
       'response readonly', 'READONLY after the answer');

    $c->rst;
    ok(wait_for { $peer->stats->{open} == 0 }, 'the peer sees a reset');
}

{
    ok($peer->kill9, 'the peer is killed');
    ok(!eval { Mesh::Client->connect($peer->port) }, 'nobody listens');

    $peer->start(readonly_after => 0, handler => sub {
        my ($p, $c, $f) = @_;
        $p->write($c, response(id => $f->{id}, value => 'handled'))
            if $f->{kind} eq 'request';
        return 1;
    });

    is(Mesh::Client->connect($peer->port)->call(service => 'a.B')->{value},
       'handled', 'it is back on its port, with a handler');

    my $unix = Mesh::Peer->new(path => $t->dir . '/peer.sock', name => 'u',
                               beat => 0.05);
    my $c = Mesh::Client->connect($unix->path);
    is($c->call(service => 'a.B')->{value}, 'u', 'a unix socket');
    is(($c->recv_frame // {})->{kind}, 'heartbeat', 'the peer beats');
    ok($unix->stop, 'it stops');
}

$peer->start(handler => undef);


# nginx between them

my ($status, $said) = $t->check_conf("worker_rlimit_nofile x;\n", bare => 1);
isnt($status, 0, 'a bad configuration is refused');
like($said, qr/invalid number/, 'with a reason');

$t->certificate('tls');

my $conf = <<"EOC";
worker_processes 2;

stream {
    server {
        listen     127.0.0.1:%%PORT_rpc%%;
        proxy_pass ${\ $peer->address};
    }

    server {
        listen               127.0.0.1:%%PORT_tls%% ssl;
        ssl_certificate      tls.crt;
        ssl_certificate_key  tls.key;
        proxy_pass           ${\ $peer->address};
    }
}

http {
    server {
        listen 127.0.0.1:%%PORT_http%%;

        location /json {
            default_type application/json;
            return 200 '{"a":[1]}';
        }

        location /metrics {
            return 200 '# TYPE m_total counter
m_total{a="x",b="y \\\\" z"} 3
m_total{a="x",b="w"} 4
m 1.5e+3
';
        }
    }
}
EOC

($status, $said) = $t->check_conf($conf, bare => 1);
is($status, 0, 'a good configuration is accepted') or diag($said);

$t->write_conf($conf, bare => 1);
$t->run;

is(scalar $t->workers, 2, 'nginx has two workers');

my $c = $t->tcp('rpc');
is($c->call(service => 'a.B', args => ['thru'])->{value}, 'thru',
   'a call goes through nginx');

is($t->tcp('tls', tls => 1)->call(service => 'a.B',
                                  args => ['y' x 100_000])->{value},
   'y' x 100_000, 'and through TLS');

is_deeply($t->http('GET', '/json')->{json}, { a => [1] }, 'JSON is read');

my $metrics = $t->metrics;
is($metrics->{'m_total{a="x",b="y \" z"}'}, 3, 'metrics are read');
is($metrics->{m}, 1500, 'plain ones too');
is($t->sum($metrics, 'm_total', a => 'x'), 7, 'series are added up');

my @old = $t->workers;
ok($t->reload, 'nginx reloads');
my @new = $t->workers;
is(scalar @new, 2, 'there are two new workers');
isnt("@new", "@old", 'they are new');
is($c->call(service => 'a.B', args => ['old'])->{value}, 'old',
   'an old worker serves its session');
ok(wait_for { $t->leaving == 1 }, 'it is leaving, the other one has left');

$c->close;
ok(wait_for { !$t->leaving }, 'it ends with its last session');

$t->write_conf("$conf nonsense;", bare => 1);
ok(!$t->reload, 'a refused reload is told');
ok($t->grep_log(qr/unknown directive "nonsense"/), 'and logged');
$t->allow_log(qr/unknown directive "nonsense"/);

$t->signal('KILL', ($t->workers)[0]);
$t->allow_log(qr/exited on signal 9/);
ok($t->wait_log(qr/\[alert\].*exited on signal 9/), 'a kill is logged');
ok(wait_for { $t->workers == 2 }, 'the worker is replaced');

my $dir = $t->dir;
$t->finish;
ok(!-d $dir, 'the directory is gone') unless $ENV{TEST_NGINX_LEAVE};


# a test that goes wrong is seen to

my $start = '$t->write_conf("http {\n}\n", bare => 1); $t->run; ok(1);';

for (['all is well', $start . '$t->done;', 0, qr/^1\.\.5$/m],
     ['an alert', $start . '$t->signal("KILL", $t->workers);'
      . 'wait_for { $t->workers } 5, "it"; $t->done;',
      1, qr/^not ok \d+ - nothing of alert/m],
     ['a sanitizer', $start . 'system "echo x.c:1: runtime error: y >>"'
      . '. $t->dir . "/error.log"; $t->done;', 1, qr/^not ok \d+ - no sani/m],
     ['a crash', $start . '$t->signal("SEGV"); wait_for { $t->gone } 5, "it";'
      . '$t->done;', 1, qr/^not ok \d+ - nginx quits/m],
     ['a missing done()', $start . 'done_testing;', 1, qr/did not reach/],
     ['a die', $start . 'die "here";', 1, qr/did not reach/],
     ['a hang', $start . 'alarm 1; sleep 9 for 1 .. 9;', 1, qr/did not end in time/])
{
    my ($name, $code, $exit, $regex) = @$_;

    my $script = File::Temp->new;
    print $script "use strict; use warnings; use Test::More; use Mesh::Test;",
                  "my \$t = Mesh::Test->new; $code";
    close $script;

    my $out = `$^X -I$FindBin::Bin/lib $script 2>&1`;

    is($? ? 1 : 0, $exit, "$name: exit code") or diag($out);
    like($out, $regex, "$name: it is said");
}

$t->done;
