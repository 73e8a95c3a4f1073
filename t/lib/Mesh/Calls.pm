package Mesh::Calls;

# What tests of calls have in common: a configuration of one listener, many
# calls at once, and where they went.

use strict;
use warnings;

use Exporter qw(import);
use Time::HiRes qw(time);

our @EXPORT = qw(conf spread burst statuses went tally);

my $id = 1_000_000;


# conf(service => "inside of service demo.Echo {}", server => "more
# directives", mesh => "more of mesh {}", main => "main context",
# stream => "more of stream {}", web => "more of a server in http {}", pass =>
# "protocol")

sub conf {
    my (%o) = @_;

    my %in = map { $_ => $o{$_} // '' } qw(service server mesh main stream web);

    # a test of one protocol may be run again with a declared copy of it
    my $pass = $o{pass} // $ENV{TEST_MESH_PASS} // 'dubbo';
    $in{mesh} .= $ENV{TEST_MESH_DECLARE} // '';

    # of Bolt's names the version is a part
    my $name = $pass eq 'bolt' ? 'demo.Echo:1.0' : 'demo.Echo';

    return <<"CONF";
$in{main}

mesh {
    zone mesh:8m metrics=1m;

    service $name {
        $in{service}
    }

    $in{mesh}
}

stream {
    server {
        listen 127.0.0.1:%%PORT_rpc%%;
        mesh_pass $pass;
        $in{server}
    }

    $in{stream}
}

http {
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location /metrics { mesh_metrics; }
        $in{web}
    }
}
CONF
}


# what answered: the value of a good answer, "status N", "error TEXT" (Bolt's
# with status 0) or "exception" of another, "none"

sub went {
    my ($frame) = @_;

    return 'none' unless $frame;
    return "status $frame->{status}"
        if $frame->{status} != ($frame->{proto} ? 0 : 20);
    return "error $frame->{error}" if defined $frame->{error};
    return defined $frame->{exception} ? 'exception' : $frame->{value} // '';
}


# options of the call of this number: an option may be a sub of it

sub options {
    my ($i, %o) = @_;

    return service => 'demo.Echo',
           map { $_ => ref $o{$_} eq 'CODE' ? $o{$_}->($i) : $o{$_} } keys %o;
}


# spread(client, n, request's options): n calls one by one, who answered each;
# in scalar context how often each did

sub spread {
    my ($client, $n, %o) = @_;

    my @went;

    for my $i (0 .. $n - 1) {
        push @went, went($client->call(timeout => 20, id => ++$id,
                                       options($i, %o)));
        last if $went[-1] eq 'none';
    }

    return wantarray ? @went : tally(@went);
}


sub tally {
    my %count;

    $count{$_}++ for @_;

    return \%count;
}


# burst(client, n, request's options): n calls at once; answers in the order
# of the calls, undef for what did not come

sub burst {
    my ($client, $n, %o) = @_;

    my $bytes = '';
    my %at;

    for my $i (0 .. $n - 1) {
        $at{++$id} = $i;
        $bytes .= $client->bytes(request => id => $id, options($i, %o));
    }

    $client->send($bytes);

    my @answers = (undef) x $n;
    my $until = time + ($o{timeout} // 20);

    while (%at && (my $left = $until - time) > 0) {
        my $frame = $client->recv_frame($left) // last;
        my $i = delete $at{$frame->{id}} // next;

        $answers[$i] = $frame;
    }

    return @answers;
}


# how often each came

sub statuses { return tally(map { went($_) } @_) }


1;
