#!/usr/bin/perl

# What nginx answers itself: the status, or the text in a SofaResponse, that a
# SOFARPC client turns into a readable exception, in the caller's own form.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET;
use Test::More;

use Mesh::Bolt;
use Mesh::Calls;
use Mesh::Client;
use Mesh::Peer;
use Mesh::Port qw(free_port);
use Mesh::Test;

my $t = Mesh::Test->new;
my %methods = (never => { never => 1 }, huge => { size => 200_000 },
               late => { delay => 0.8 });
my %peer = map { $_ => Mesh::Peer->new(speaks => 'bolt', value => $_,
                                       methods => \%methods) }
           qw(good dies bad);

# a port whose queue of connections is full: a connect stays unanswered

my $full = free_port();
my $listen = IO::Socket::INET->new(LocalAddr => "127.0.0.1:$full",
                                   Listen => 1, ReuseAddr => 1)
    or die "cannot listen: $!";
listen $listen, 0;
my @hold = map { IO::Socket::INET->new(Proto => 'tcp', Blocking => 0,
                                       PeerAddr => "127.0.0.1:$full") } 1 .. 4;
my $dead = free_port();

sub service {
    my ($name, @endpoints) = @_;

    return "service demo.$name:1.0 {"
           . join('', map { " endpoint $_ max_fails=0;" } @endpoints) . " }\n";
}

sub server {
    my ($port, $directives) = @_;

    return "server {
                listen 127.0.0.1:%%PORT_$port%%;
                mesh_pass bolt;
                mesh_access_log %%DIR%%/ends.log ends;
                $directives
            }\n";
}

my @at = map { $_->address } @peer{qw(dies bad)};

$t->write_conf(conf(pass => 'bolt',
    service => 'endpoint ' . $peer{good}->address . ';',
    mesh => service(Empty => ()) . service(Full => "127.0.0.1:$full")
            . service(Dead => "127.0.0.1:$dead") . service(Dies => $at[0])
            . service(Both => $at[1], $peer{good}->address)
            . 'service demo.Other:1.0 {
                   endpoint 127.0.0.1:1 protocol=dubbo;
               }',
    stream => "mesh_log_format ends '\$mesh_request_id \$mesh_status '
                                    '\$mesh_error \$mesh_result';\n"
              . server(main => 'mesh_max_frame 64k; mesh_timeout 60s;
                                mesh_connect_timeout 20s;
                                mesh_idempotent demo.*:get*;
                                mesh_next_upstream error tries=2
                                    budget=100%;')
              . server(short => 'mesh_timeout 300ms;')
              . server(deaf => 'mesh_timeout 20s; mesh_deadline off;')
              . server(few => 'mesh_max_requests 2; mesh_timeout 300ms;')));
$t->run;


my @forms = (
    { proto => 1 },
    { proto => 2, ver1 => 1, switch => 1 },
    { proto => 2, ver1 => 2, switch => 0 },
    { proto => 2, ver1 => 2, switch => 1 },
);

my @callers = (
    { codec => 1, dialect => 'B' },
    { codec => 1, dialect => 'A' },
    { codec => 11 },
    { codec => 2 },
    { codec => 200 },
);

my $too_large = qr/mesh_max_frame.*request_too_large/;
my ($id, $seen) = (0, 0);
my (%status, %error);


# a line of the log behind those seen already

sub line {
    my @lines;

    wait_for {
        @lines = split /\n/, $t->read_file('ends.log');
        @lines > $seen;
    } 5;

    return $lines[$seen++] // '';
}


# what is wrong with an answer of ours

sub faults {
    my ($f, $request, $status, $text) = @_;

    return 'no answer' unless $f;

    my $hessian = $request->{codec} == 1 && defined $text;
    my %want = (id => $request->{id}, codec => $request->{codec},
                proto => $request->{proto}, ver1 => $request->{ver1} // 1,
                kind => 'response', cmdcode => 2, ver2 => 1,
                status => $hessian ? 0 : $status);

    my @wrong = grep { ($f->{$_} // '') ne $want{$_} } sort keys %want;

    push @wrong, 'CRC' if $f->{variant} eq '2.2' && !$f->{crc_ok};
    push @wrong, "damaged: $f->{damaged}" if $f->{damaged};

    if ($hessian) {

        # what is refused by its length was never read, and sofa-hessian 3
        # is what SOFARPC comes with

        my $unread = $text eq $too_large;
        my $first = $request->{dialect} eq 'A' && !$unread ? 'C' : 'O';

        push @wrong, 'dialect' if $f->{content} !~ /^$first/;
        push @wrong, 'class'
            if $f->{class} ne 'com.alipay.sofa.rpc.core.response.SofaResponse';
        push @wrong, 'header'
            if ($f->{headers}{sofa_head_response_error} // '') ne 'true';
        push @wrong, 'text: ' . ($f->{error} // 'none')
            if ($f->{error} // '') !~ $text;

    } else {
        push @wrong, 'content' if length $f->{class} . $f->{header}
                                         . $f->{content};
    }

    return join ', ', @wrong;
}


# typed(name, client, error, status, text or undef, options): the same call in
# all forms by all callers, one after the other

sub typed {
    my ($client, $error, $status, $text, %o) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my (@faults, @lines);

    for my $form (@forms) {
        for my $caller (@callers) {
            my %request = (%$form, %$caller, id => ++$id,
                           service => 'demo.Echo', args => ['x'], %o);

            $client->send(Mesh::Bolt::request(%request));

            my $why = faults($client->recv_id($id, 10), \%request, $status,
                             $text);
            push @faults, "$request{proto} $request{codec}: $why" if $why;

            my $line = line();
            push @lines, $line if $line ne "$id $status $error error";
        }
    }

    is(join("\n", @faults), '', "$error is answered by $status");
    is(join("\n", @lines), '', '... the log says so');

    $status{$status} += @forms * @callers;
    $error{$error} += @forms * @callers;
}


my $client = $t->tcp('main', speaks => 'bolt');
my $short = $t->tcp('short', speaks => 'bolt');

typed($client, no_route => 6, qr/no such service.*no_route.*demo\.Nobody:1\.0/,
      service => 'demo.Nobody');
typed($client, no_endpoint => 6, qr/no_endpoint.*demo\.Empty:1\.0.*sayHello/,
      service => 'demo.Empty');
typed($client, no_endpoint => 6, qr/no endpoint of the service speaks bolt/,
      service => 'demo.Other');
typed($client, upstream_closed => 16, undef, service => 'demo.Dead');
typed($client, expired => 7, undef, service => 'demo.Full', timeout_ms => 20);
typed($client, timeout => 7, undef, method => 'never', timeout_ms => 20);
typed($client, request_too_large => 9, $too_large,
      args => ['x' x 100_000]);
typed($client, bad_response => 9, qr/mesh_max_frame.*bad_response/,
      method => 'huge');


# no time of its own: mesh_timeout is the deadline

for my $ms (0, -1, -2147483648) {
    my $f = $short->call(service => 'demo.Echo', id => ++$id, timeout => 10,
                         method => 'never', timeout_ms => $ms);
    is(went($f), 'status 7', "a timeout of $ms means mesh_timeout");
    is(line(), "$id 7 timeout error", '... the log says so');
    $status{7}++;
    $error{timeout}++;
}

is(went($short->call(service => 'demo.Echo', method => 'late', id => ++$id,
                     timeout_ms => 20_000, timeout => 10)), 'good',
   'a longer one counts');
is(line(), "$id 0 - ok", '... the log says so');

my $deaf = $t->tcp('deaf', speaks => 'bolt');
is(went($deaf->call(service => 'demo.Echo', method => 'late', id => ++$id,
                    timeout_ms => 20, timeout => 10)), 'good',
   '... none does with mesh_deadline off');
is(line(), "$id 0 - ok", '... the log says so');


# too many at once

my $few = $t->tcp('few', speaks => 'bolt');
my @answers = burst($few, 5, method => 'never');

is_deeply(statuses(@answers), { 'status 4' => 3, 'status 7' => 2 },
          'overload is answered by 4');
is_deeply(tally(map { line() =~ s/^\d+ //r } 1 .. 5),
          { '4 overload error' => 3, '7 timeout error' => 2 },
          '... the log says so');
$status{4} += 3;
$status{7} += 2;
$error{overload} += 3;
$error{timeout} += 2;


# a checksum that is wrong: the caller's own bytes, so no text

for my $caller (@callers) {
    my %request = (%$caller, proto => 2, ver1 => 2, id => ++$id,
                   service => 'demo.Echo');

    $client->send(Mesh::Bolt::request(%request, crc => 1));
    is(faults($client->recv_id($id, 5), \%request, 9), '',
       'bad_request is answered by 9');
    is(line(), "$id 9 bad_request error", '... the log says so');
    $status{9}++;
    $error{bad_request}++;
}


# one-way calls get nothing, but are logged

$client->send(Mesh::Bolt::request(id => ++$id, service => $_, oneway => 1))
    for 'demo.Nobody', 'demo.Empty';
is($client->recv_frame(0.3), undef, 'a one-way call is never answered');
like(line(), qr/^\d+ \S+ no_route error$/, '... but logged');
like(line(), qr/^\d+ \S+ no_endpoint error$/, '... each of them');


# a provider that goes without a word: its calls fail at once

for my $form (@forms) {
    is((spread($client, 1, service => 'demo.Dies', %$form))[0], 'dies',
       'it answers');
    line();
}

$client->send(join '', map {
    Mesh::Bolt::request(%{ $forms[$_ % 4] }, service => 'demo.Dies', id => $_,
                        method => 'never')
} 1 .. 40);
wait_for { $peer{dies}->stats->{requests} == 44 } 10, 'calls in flight';
$peer{dies}->close_all;

my @lost = $client->recv_frames(40, 10);

is_deeply(statuses(@lost), { 'status 16' => 40 },
          'a provider closes: all its calls are answered');
is_deeply([ map { line() =~ s/^\d+ //r } @lost ],
          [ ('16 upstream_closed error') x 40 ], '... the log says so');
$status{16} += 40;
$error{upstream_closed} += 40;

is((spread($client, 1, service => 'demo.Dies'))[0], 'dies',
   '... and the next call is served');
line();


# ... or are repeated, where they may be.  The second call of each link meets
# it: each link proves itself first, so it is dialled again without a pause.

$peer{bad}->set(close_after => 2);

sub until_bad {
    my ($n, %o) = @_;

    my $before = $peer{bad}->stats->{requests};
    my @went;

    wait_for {
        push @went, went($client->call(service => 'demo.Both', id => ++$id,
                                       timeout => 10, %o));
        line();
        $peer{bad}->stats->{requests} >= $before + $n;
    } 20, 'calls of the bad one';

    return tally(@went);
}

for my $form (@forms[0, 1, 3]) {
    my $retries = $t->metrics->{mesh_retries_total};
    my $went = until_bad(6, %$form, method => 'getUser');

    is($went->{'status 16'}, undef, 'idempotent calls survive that');
    is($went->{bad}, 3, '... three of six met it');
    ok((wait_for { $t->metrics->{mesh_retries_total} == $retries + 3 } 5),
       '... each is one retry');

    is(until_bad(6, %$form, method => 'setUser')->{'status 16'}, 3,
       '... others are answered');
    $status{16} += 3;
    $error{upstream_closed} += 3;
}


# the counters

my $m;

wait_for {
    $m = $t->metrics;
    $t->sum($m, 'mesh_requests_total', status => 16, result => 'error')
        >= $status{16};
} 5;

is($t->sum($m, 'mesh_requests_total', protocol => 'bolt', status => $_,
           result => 'error'), $status{$_} + ($_ == 6 ? 2 : 0),
   "calls of status $_ are counted") for sort { $a <=> $b } keys %status;
is($t->sum($m, 'mesh_errors_total', error => $_),
   $error{$_} + ($_ =~ /^no_/ ? 1 : 0), "errors of $_ are")
    for sort keys %error;

is($client->{eof}, '', 'the connection stayed');
is($t->metrics->{mesh_requests_in_flight}, 0, 'nothing is in flight');

$_->close for $client, $short, $deaf, $few;
$t->done;
