#!/usr/bin/perl

# What a SOFARPC caller sees of a failure that nginx answers itself: the
# exception, by what the call was serialized with.  The table at the end is the
# one in README.
#
# INTEROP_DIRECT=1 asks a scripted provider for bare statuses and leaves nginx
# out.

use strict;
use warnings;

use File::Temp qw(tempdir);
use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib", "$FindBin::Bin/../lib";
use Interop qw(prepare);
use Interop::Jvm;
use Mesh::Bolt;
use Mesh::Peer;
use Mesh::Port qw(free_port);
use Mesh::Test;

my $DIRECT = $ENV{INTEROP_DIRECT};
my @CALLERS = qw(hessian2 protobuf json);
my %SERVICE = (hessian2 => 'Echo', json => 'Echo', protobuf => 'Wrapped');
my $FORMAT = '%-17s  %-14s  %-44s  %s';

# the error types of SofaRpcException
my %TYPE = (
    100 => 'SERVER_BUSY', 199 => 'SERVER_UNDECLARED_ERROR',
    200 => 'CLIENT_TIMEOUT', 250 => 'CLIENT_NETWORK',
    299 => 'CLIENT_UNDECLARED_ERROR',
);

my $dir = tempdir(CLEANUP => 1);
my @table;

prepare();
alarm 100 if $DIRECT;

my $t;
$t = Mesh::Test->new(timeout => 100) if !$DIRECT;

# before the JVM: it would hold their pipes open
my $peer = Mesh::Peer->new(name => 'fake', speaks => 'bolt',
                           handler => \&provider,
                           methods => { delay => { delay => 0.5 } });

my $jvm = Interop::Jvm->start('sofa513', 'Consumer', log => "$dir/jvm.log",
    define => { 'user.home' => $dir, 'logging.path' => $dir });

nginx() if !$DIRECT;
$jvm->ready;

statuses();
failures() if !$DIRECT;

diag('');
diag(sprintf $FORMAT, qw(failure caller exception text));
table();

$jvm->stop;
$peer->stop;
$DIRECT ? done_testing() : $t->done;


###############################################################################


# the text of the call is what the provider has to do

sub order {
    my ($f) = @_;
    my $text = $f->{args}[0];
    return '' if !defined $text || ref $text;
    # a message with one string: its tag, its length, which is short, the rest
    return substr $text, 2 if $f->{codec} == 11;
    return $text =~ s/^"|"$//gr if $f->{codec} == 12;
    return $text;
}


# that text as an answer

sub wrap {
    my ($f, $text) = @_;
    return qq("$text") if $f->{codec} == 12;
    return $text if $f->{codec} != 11;

    my ($n, $length) = (length $text, '');
    while ($n > 0x7f) {
        $length .= chr($n & 0x7f | 0x80);
        $n >>= 7;
    }
    return "\x0a$length" . chr($n) . $text;
}


sub provider {
    my ($p, $c, $f) = @_;

    return if $f->{kind} ne 'request' || $f->{method} eq 'delay';
    my $order = order($f);

    if ($order =~ /^status (\d+)/) {
        $p->write($c, Mesh::Bolt::reply($f, status => $1));
        return 1;
    }

    if ($order eq 'close') {
        $p->drop($c);
        return 1;
    }

    return 1 if $order eq 'silence';

    my $text = $order =~ /^size (\d+)/ ? 'x' x $1 : $order;
    $p->write($c, Mesh::Bolt::reply($f, value => wrap($f, $text)));
    return 1;
}


sub nginx {
    my $peer_at = $peer->address;
    my $nobody = free_port();
    my $services = '';

    for my $name (qw(Echo Wrapped)) {
        my $key = "mesh.kit.api.$name:1.0";
        $services .= <<"CONF";
    service $key { endpoint $peer_at max_fails=0; }
    service $key:empty { }
    service $key:refused { endpoint 127.0.0.1:$nobody; }
    service $key:dubbo { endpoint $peer_at protocol=dubbo; }
CONF
    }

    $t->write_conf(<<"CONF");
mesh {
    zone mesh:8m metrics=1m;

$services}

stream {
    mesh_log_format failure '\$mesh_error';
    mesh_access_log %%DIR%%/rpc.log failure;

    server {
        listen 127.0.0.1:%%PORT_mesh%%;
        mesh_pass bolt;
        mesh_timeout 500ms;
        mesh_deadline off;
    }

    server {
        listen 127.0.0.1:%%PORT_small%%;
        mesh_pass bolt;
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
    my ($caller, $name, %opt) = @_;
    my $r = $jvm->ask('ref', name => "$caller $name",
        serialization => $caller, %opt);
    is($r->{answer}, 'ok', "$caller: client $name") or diag(explain($r));
    return;
}


sub call {
    my ($caller, $ref, $arg) = @_;
    return $jvm->ask('call', ref => "$caller $ref", op => 'echo', arg => $arg);
}


# SofaTimeOutException/200: its class and error type

sub brief {
    my ($r) = @_;
    return $r->{answer} if $r->{answer} ne 'fail';
    my ($class) = $r->{type} =~ /([^.]+)$/;
    return defined $r->{code} ? "$class/$r->{code}" : $class;
}


# what a reader needs of the text

sub seen {
    my ($text) = @_;
    $text =~ s/^com\.alipay\.remoting\.\S*?(\w+): /$1: /;
    $text =~ s/ the address is .*//;
    return $text;
}


# each status that SOFARPC has an exception for, and what is left

sub statuses {
    my %expected = (
        2 => 'SofaRpcException/199', 4 => 'SofaRpcException/100',
        6 => 'SofaRpcException/299', 7 => 'SofaTimeOutException/200',
        9 => 'SofaRpcException/299', 16 => 'SofaRpcException/250',
    );

    for my $caller (@CALLERS) {
        client($caller, 'direct', address => $peer->address);
        is(call($caller, 'direct', 'hello')->{value}, 'hello',
            "$caller: the scripted provider is understood");
        for my $status (sort { $a <=> $b } keys %expected) {
            my $r = call($caller, 'direct', "status $status");
            is(brief($r), $expected{$status}, "$caller, status $status")
                or diag(explain($r));
        }
    }
    return;
}


# failures of nginx's own: those with a status of their own say the same to
# everybody, the others have a text for who reads Hessian

sub failures {
    my ($mesh, $small) = map { '127.0.0.1:' . $t->port($_) } qw(mesh small);
    my $long = 'y' x 100_000;

    for my $caller (@CALLERS) {
        client($caller, 'mesh', address => $mesh);
        client($caller, 'small', address => $small);
        client($caller, $_, address => $mesh, unique => $_)
            for qw(nobody empty refused dubbo);
        for my $ref (qw(mesh small)) {
            is(call($caller, $ref, 'hello')->{value}, 'hello',
                "$caller: $ref");
        }
    }

    my ($bare, $damaged) = (qr/: NO_PROCESSOR\b/, qr/CodecException/);
    said('no_route', 'nobody', 'x', qr/\(no_route\).*:1\.0:nobody"/, $bare);
    said('no_endpoint', 'empty', 'x', qr/\(no_endpoint\)/, $bare);
    said('no_endpoint', 'dubbo', 'x', qr/speaks bolt \(no_endpoint\)/, $bare);
    known('upstream_closed', 'refused', 'x', 'SofaRpcException/250');
    known('upstream_closed', 'mesh', 'close', 'SofaRpcException/250');
    known('timeout', 'mesh', 'silence', 'SofaTimeOutException/200');
    said('request_too_large', 'small', $long, qr/\(request_too_large\)/,
        $damaged);
    said('bad_response', 'small', 'size 100000', qr/\(bad_response\)/,
        $damaged);

    overload();
    asynchronous($_, address => $mesh) for qw(future callback);

    for my $caller (@CALLERS) {
        for my $ref (qw(mesh small)) {
            is(call($caller, $ref, 'hello')->{value}, 'hello',
                "$caller: $ref works after all of that");
        }
    }
    return;
}


sub said {
    my ($failure, $ref, $arg, $text, $bare) = @_;

    for my $caller (@CALLERS) {
        my $hessian = $caller eq 'hessian2';
        my $r = failure($failure, $caller, $ref, $arg,
            $hessian ? 'SofaRpcException/199' : 'SofaRpcException/299');
        like($r->{text}, $hessian ? $text : $bare,
            "$caller, $failure: the text") or diag(explain($r));
    }
    return;
}


sub known {
    my ($failure, $ref, $arg, $brief) = @_;

    for my $caller (@CALLERS) {
        failure($failure, $caller, $ref, $arg, $brief);
        # an endpoint that hangs up time and again is left alone for a moment
        call($caller, 'mesh', 'hello');
    }
    return;
}


sub failure {
    my ($failure, $caller, $ref, $arg, $brief) = @_;
    my $before = logged($failure);
    my $r = call($caller, $ref, $arg);

    is(brief($r), $brief, "$caller, $failure, $ref") or diag(explain($r));
    cmp_ok($r->{ms}, '<', 4000, "before the caller's own time-out");

    # so that it is nginx's own and not some other failure
    ok((wait_for { logged($failure) == $before + 1 } 2),
       "\"$failure\" in the log");
    row($failure, $caller, $r);
    return $r;
}


sub row {
    my ($failure, $caller, $r) = @_;
    my ($class) = split m{/}, brief($r);
    my $type = $TYPE{ $r->{code} || '' } || '?';
    push @table, [$failure, $caller, "$class, $type", seen($r->{text})];
    return;
}


# how many lines of the access log say so

sub logged {
    my ($line) = @_;
    return scalar grep { $_ eq $line } split /\n/, $t->read_file('rpc.log');
}


# more calls at once than the listener allows of one connection

sub overload {
    my $before = logged('overload');
    $jvm->ask('hold', as => 'busy', ref => 'hessian2 small', n => 20, for => 1);
    my $r = $jvm->ask('end', as => 'busy');

    is_deeply([@{$r}{qw(good wrong failed types)}],
              [4, 0, 16, '{SofaRpcException/100=16}'], 'overload')
        or diag(explain($r));
    ok((wait_for { logged('overload') == $before + 16 } 2),
       '16 times in the log');

    # that is a status of its own, so to others it is what statuses() saw
    my ($text) = ($r->{texts} || '') =~ /^\{(.*?)=\d/;
    row('overload', $_, { answer => 'fail', code => 100,
        type => 'SofaRpcException', text => $text || '' }) for @CALLERS;
    return;
}


# who waits for nothing is told as well

sub asynchronous {
    my ($how, %opt) = @_;
    my %expected = (
        nobody => ['no_route', 'SofaRpcException/199', qr/\(no_route\)/],
        # SofaResponseFuture gives everything this class and type
        mesh => ['timeout', $how eq 'future' ? 'SofaRpcException/199'
                                             : 'SofaTimeOutException/200',
                 qr/timeout/i],
    );

    for my $ref (sort keys %expected) {
        my ($failure, $brief, $text) = @{ $expected{$ref} };
        my $before = logged($failure);
        client('hessian2', "$how $ref", %opt, invoke => $how,
            $ref eq 'mesh' ? () : (unique => $ref));
        my $r = call('hessian2', "$how $ref", 'silence');
        is(brief($r), $brief, "$how, $failure") or diag(explain($r));
        like($r->{text}, $text, "$how, $failure: the text");
        ok((wait_for { logged($failure) == $before + 1 } 2),
           "\"$failure\" in the log");
    }
    return;
}


# rows that differ only in the caller are one

sub table {
    my (@keys, %callers);

    for my $row (@table) {
        my ($failure, $caller, @seen) = @$row;
        my $key = join "\0", $failure, @seen;
        push @keys, $key if !$callers{$key};
        $callers{$key}{$caller} = 1;
    }

    for my $key (@keys) {
        my ($failure, @seen) = split /\0/, $key;
        my @who = grep { $callers{$key}{$_} } @CALLERS;
        my $who = @who == @CALLERS ? 'any' : join ', ', @who;
        diag(sprintf $FORMAT, $failure, $who, @seen);
    }
    return;
}
