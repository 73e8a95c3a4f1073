#!/usr/bin/perl

# What a Dubbo caller sees of a failure: the exception that each consumer
# version makes of each status, first from a scripted provider that sends just
# that status, then of the failures nginx finds itself.  The table at the end is
# the one in README.

use strict;
use warnings;

use File::Temp qw(tempdir);
use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib", "$FindBin::Bin/../lib";
use Interop qw(prepare);
use Interop::Jvm;
use Mesh::Dubbo;
use Mesh::Peer;
use Mesh::Port qw(free_port);
use Mesh::Test;

my $DIRECT = $ENV{INTEROP_DIRECT};
my @VERSIONS = (27, 33);
my %RELEASE = (27 => '2.7.23', 33 => '3.3.6');
my $FORMAT = '%-22s %-6s  %-54s  %-54s';

my $dir = tempdir(CLEANUP => 1);
my (%jvm, @table);

prepare();
alarm 150 if $DIRECT;

my $t;
$t = Mesh::Test->new(timeout => 150) if !$DIRECT;

# before the JVMs: it would hold their pipes open
my $peer = Mesh::Peer->new(name => 'fake', handler => \&provider,
                           methods => { delay => { delay => 0.5 } });

for (@VERSIONS) {
    $jvm{$_} = Interop::Jvm->start($_, 'Consumer',
        log => "$dir/consumer$_.log");
}

nginx() if !$DIRECT;

$_->ready for values %jvm;

for my $v (@VERSIONS) {
    client($v, 'direct', address => $peer->address);
    # two URLs make 2.7 use its cluster, which is what tries again
    client($v, 'again', address => join(',', ($peer->address) x 2),
        retries => 2);
    client($v, 'fastjson2', address => $peer->address,
        serialization => 'fastjson2') if $v == 33;
    is(call($v, 'direct', 'echo', arg => 'hello')->{value}, 'hello',
        "$RELEASE{$v}: the scripted provider is understood");
}


# statuses: what DESIGN's failures are answered with, then Dubbo's own.  The
# numbers are RpcException's: 1 network, 2 timeout, 5 serialization.

statuses(60, 'no_route no_endpoint', 27 => 1, 33 => 1);
statuses(30, 'expired', 27 => 2, 33 => 2);
statuses(31, 'timeout', 27 => 2, 33 => 2);
statuses(70, 'upstream_closed', 27 => 1, 33 => 1);
statuses(100, 'overload', 27 => 1, 33 => 1);
statuses(40, 'request_too_large', 27 => 1, 33 => 1);
statuses(50, 'bad_response', 27 => 1, 33 => 1);
statuses(80, 'denied', 27 => 1, 33 => 1);
statuses(25, '(a provider only)', 27 => 1, 33 => 5);
statuses(90, '(Dubbo itself)', 27 => 1, 33 => 1);

failures() if !$DIRECT;

diag('');
diag(sprintf $FORMAT, 'failure', 'status', @RELEASE{@VERSIONS});
diag($_) for @table;

$_->stop for values %jvm;
$peer->stop;
$DIRECT ? done_testing() : $t->done;


###############################################################################


# the first argument is what the provider has to do

sub provider {
    my ($p, $c, $f) = @_;

    return if $f->{kind} ne 'request';
    my $order = ref $f->{args} ? $f->{args}[0] : undef;
    return if !defined $order || ref $order;

    if ($order =~ /^status (\d+)/) {
        $p->count($c, $f);
        # nginx's own answers are hessian2, too, whatever was asked in
        $p->write($c, Mesh::Dubbo::response(id => $f->{id}, status => $1,
            error => "said by the proxy, status $1"));
        return 1;
    }

    if ($order eq 'close') {
        $p->drop($c);
        return 1;
    }

    return $order eq 'silence' if $order !~ /^size (\d+)/;

    $p->write($c, Mesh::Dubbo::response(id => $f->{id},
        serialization => $f->{ser}, value => 'x' x $1));
    return 1;
}


sub nginx {
    my $peer_at = $peer->address;
    my $nobody = free_port();
    my $echo = 'mesh.kit.api.Echo';

    $t->write_conf(<<"CONF");
mesh {
    zone mesh:8m metrics=1m;

    service $echo { endpoint $peer_at; }
    service empty/$echo { }
    service refused/$echo { endpoint 127.0.0.1:$nobody; }
}

stream {
    mesh_log_format failure '\$mesh_error \$mesh_status';
    mesh_access_log %%DIR%%/rpc.log failure;

    server {
        listen 127.0.0.1:%%PORT_mesh%%;
        mesh_pass dubbo;
        mesh_timeout 500ms;
        mesh_deadline off;
    }

    server {
        listen 127.0.0.1:%%PORT_small%%;
        mesh_pass dubbo;
        mesh_timeout 2s;
        mesh_max_frame 64k;
        mesh_max_requests 4;
    }
}
CONF
    $t->run;
    return;
}


sub client {
    my ($v, $name, %opt) = @_;
    my $r = $jvm{$v}->ask('ref', name => $name, %opt);
    is($r->{answer}, 'ok', "$RELEASE{$v}: client $name") or diag(explain($r));
    return;
}


sub call {
    my ($v, $ref, $op, %arg) = @_;
    return $jvm{$v}->ask('call', ref => $ref, op => $op, %arg);
}


# RpcException/1: its class and, of an RpcException, the code

sub brief {
    my ($r) = @_;
    return $r->{answer} if $r->{answer} ne 'fail';
    my ($class) = $r->{type} =~ /([^.]+)$/;
    return defined $r->{code} ? "$class/$r->{code}" : $class;
}


# one failure in every consumer; what the table says of it

sub row {
    my ($failure, $status, %cell) = @_;
    push @table, sprintf $FORMAT, $failure, $status, @cell{@VERSIONS};
    return;
}


sub statuses {
    my ($status, $failure, %code) = @_;
    my %cell;

    for my $v (@VERSIONS) {
        my $what = "$RELEASE{$v}, status $status";
        my $text = qr/said by the proxy, status $status\b/;

        my $sync = call($v, 'direct', 'echo', arg => "status $status");
        is(brief($sync), "RpcException/$code{$v}", $what)
            or diag(explain($sync));
        like($sync->{text}, $text, "$what: the text is in the message");

        my $async = call($v, 'direct', 'async', arg => "status $status");
        is($async->{answer}, 'fail', "$what, async") or diag(explain($async));
        like($async->{text}, $text, "$what, async: the text is in the message");

        my $before = $peer->stats->{requests};
        call($v, 'again', 'echo', arg => "status $status");
        my $tries = $peer->stats->{requests} - $before;

        $cell{$v} = sprintf '%s, async %s, tries %d', brief($sync),
            brief($async), $tries;

        next if $v != 33;
        my $mixed = call($v, 'fastjson2', 'echo', arg => "status $status");
        is(brief($mixed), "RpcException/$code{$v}",
            "$what: hessian2 answer to fastjson2");
        like($mixed->{text}, $text, "$what: with its text");
    }

    row($failure, $status, %cell);
    return;
}


# what nginx answers itself: the statuses above, met for real

sub failures {
    my ($mesh, $small) = map { '127.0.0.1:' . $t->port($_) } qw(mesh small);

    for my $v (@VERSIONS) {
        client($v, 'mesh', address => $mesh);
        client($v, 'small', address => $small);
        client($v, 'nobody', address => $mesh, group => 'nobody');
        client($v, 'empty', address => $mesh, group => 'empty');
        client($v, 'refused', address => $mesh, group => 'refused');
        for my $ref (qw(mesh small)) {
            is(call($v, $ref, 'echo', arg => 'hello')->{value}, 'hello',
                "$RELEASE{$v}: $ref");
        }
    }

    failure('no_route', 60, 1, 'nobody', 'echo', arg => 'x');
    failure('no_endpoint', 60, 1, 'empty', 'echo', arg => 'x');
    failure('upstream_closed', 70, 1, 'refused', 'echo', arg => 'x');
    failure('upstream_closed', 70, 1, 'mesh', 'echo', arg => 'close');
    failure('timeout', 31, 2, 'mesh', 'echo', arg => 'silence');
    failure('request_too_large', 40, 1, 'small', 'invert', size => 100_000);
    failure('bad_response', 50, 1, 'small', 'echo', arg => 'size 100000');

    overload();

    for my $v (@VERSIONS) {
        for my $ref (qw(mesh small)) {
            is(call($v, $ref, 'echo', arg => 'hello')->{value}, 'hello',
                "$RELEASE{$v}: $ref works after all of that");
        }
    }
    return;
}


# more calls at once than the listener allows of one connection

sub overload {
    my %cell;

    for my $v (@VERSIONS) {
        my $before = logged('overload 100');
        $jvm{$v}->ask('hold', as => 'busy', ref => 'small', n => 20, for => 1);
        my $r = $jvm{$v}->ask('end', as => 'busy');

        is_deeply([@{$r}{qw(good wrong failed types)}],
                  [4, 0, 16, '{RpcException/1=16}'],
                  "$RELEASE{$v}, nginx: overload") or diag(explain($r));
        ok((wait_for { logged('overload 100') == $before + 16 } 2),
           '16 times in the log');

        $cell{$v} = seen('RpcException/1', $r->{texts});
        note("$RELEASE{$v} overload: $r->{texts}");
    }

    row('nginx: overload', 100, %cell);
    return;
}


# what comes after Dubbo's own words

sub seen {
    my ($brief, $text) = @_;
    my ($words) = ($text || '') =~ /.*(?:Exception|cause): ([^=}]*)/;
    return "$brief " . ($words || $text || '?');
}


# how many lines of the access log say so

sub logged {
    my ($line) = @_;
    return scalar grep { $_ eq $line } split /\n/, $t->read_file('rpc.log');
}


sub failure {
    my ($failure, $status, $code, $ref, $op, %arg) = @_;
    my %cell;

    for my $v (@VERSIONS) {
        my $before = logged("$failure $status");
        my $r = call($v, $ref, $op, %arg);

        is(brief($r), "RpcException/$code",
           "$RELEASE{$v}, nginx: $failure, $ref") or diag(explain($r));
        cmp_ok($r->{ms}, '<', 1500, 'in time');

        # so that it is nginx's own and not some other failure
        ok((wait_for { logged("$failure $status") == $before + 1 } 2),
           "\"$failure $status\" in the log");

        $cell{$v} = seen(brief($r), $r->{text});
        note("$RELEASE{$v} $failure: " . ($r->{text} || ''));
    }

    row("nginx: $failure", $status, %cell);
    return;
}
