package Mesh::Redis;

# A real Redis on a free loopback port.
#
#   my $r = Mesh::Redis->new;
#   $r->provide('dubbo://127.0.0.1:20880/com.example.A?version=1.0.0');
#   $r->restart;                    # empty, unless persist => 1
#
# new(options):
#   persist => 1      an append-only file
#   password => p     of the default user
#   users => [...]    lines of an ACL file, as "mesh on >secret ~/dubbo/* &* +@all"
#   tls => {}         TLS at its port: crt, key and ca (whose clients alone
#                     may come); without TLS it listens at port_plain
#   replica => $r     of that one
#   config => []      more lines of redis.conf
#   time => seconds   as its clock would be wrong: the helpers of providers
#                     write expiry values that are off by it
#
# Mesh::Redis->sentinel(name, $master, quorum => 1) watches one.

use strict;
use warnings;

use File::Temp qw(tempdir);
use Test::More ();
use Time::HiRes qw(time sleep);

use Mesh::Daemon;
use Mesh::Port qw(free_port);
use Mesh::Resp;

my $count = 0;


sub new {
    my ($class, %o) = @_;

    my ($binary) = grep { -x } map { "$_/redis-server" }
                   split /:/, $ENV{PATH};
    $binary or Test::More::BAIL_OUT('no redis-server, run util/setup');

    my $name = 'redis' . ++$count;
    my $dir = tempdir("$name-XXXXXX", TMPDIR => 1, CLEANUP => 1);

    my $self = bless { o => \%o, dir => $dir, binary => $binary,
                       port => free_port() }, $class;

    $self->{plain} = free_port() if $o{tls};
    $self->{daemon} = Mesh::Daemon->new(name => $name, dir => $dir);

    return ($o{start} // 1) ? $self->start : $self;
}


sub sentinel {
    my ($class, $name, $master, %o) = @_;

    my @lines = ("sentinel monitor $name 127.0.0.1 @{[$master->port]} "
                 . ($o{quorum} // 1),
                 "sentinel down-after-milliseconds $name "
                 . ($o{down} // 500),
                 "sentinel failover-timeout $name 2000",
                 map { s/%/$name/r } @{ $o{config} // [] });

    return $class->new(%o, sentinel => 1, config => \@lines);
}


sub port   { $_[0]{port} }
sub pid    { $_[0]{daemon}->pid }
sub daemon { $_[0]{daemon} }
sub dir    { $_[0]{dir} }
sub said   { $_[0]{daemon}->said }

# where the test itself talks to it
sub port_plain { $_[0]{plain} // $_[0]{port} }

sub url {
    my ($self, $db) = @_;
    return ($self->{o}{tls} ? 'rediss' : 'redis')
           . "://127.0.0.1:$self->{port}/" . ($db // 0);
}

sub connections { Mesh::Daemon::connections($_[0]{port}) }


###############################################################################
# the process


sub config {
    my ($self) = @_;

    my ($o, $dir) = @$self{qw(o dir)};

    my @lines = ('bind 127.0.0.1', "dir $dir", 'daemonize no',
                 'loglevel notice', 'save ""', 'protected-mode no',
                 'enable-debug-command yes', 'repl-diskless-sync-delay 0');

    splice @lines, 4 if $o->{sentinel};

    if (my $tls = $o->{tls}) {
        push @lines, "port $self->{plain}", "tls-port $self->{port}",
            "tls-cert-file $tls->{crt}", "tls-key-file $tls->{key}",
            $tls->{ca} ? ("tls-ca-cert-file $tls->{ca}",
                          'tls-auth-clients yes')
                       : ("tls-ca-cert-file $tls->{crt}",
                          'tls-auth-clients no');
    } else {
        push @lines, "port $self->{port}";
    }

    push @lines, 'appendonly yes', 'appendfsync always' if $o->{persist};
    push @lines, "replicaof 127.0.0.1 @{[$o->{replica}->port_plain]}",
        ($o->{replica}{o}{password}
         ? "masterauth $o->{replica}{o}{password}" : ()) if $o->{replica};

    if ($o->{users}) {
        # the test's own user is the default one, whatever the others may
        my @users = map { "user $_" }
            @{ $o->{users} },
            'kit on >kit ~* &* +@all',
            'default off';

        $self->write('users.acl', @users);
        push @lines, "aclfile $dir/users.acl";

    } elsif (defined $o->{password}) {
        push @lines, "requirepass $o->{password}";
    }

    return (@lines, @{ $o->{config} // [] });
}


sub write {
    my ($self, $name, @lines) = @_;

    open my $out, '>', "$self->{dir}/$name" or die "$name: $!";
    print $out map { "$_\n" } @lines;
    close $out or die "$name: $!";
}


# start(wait => 0) does not wait until it answers

sub start {
    my ($self, %o) = @_;

    # a sentinel keeps its state in its configuration
    $self->write('redis.conf', $self->config)
        unless $self->{o}{sentinel} && -s "$self->{dir}/redis.conf";

    delete $self->{admin};
    $self->{daemon}{command} = [$self->{binary}, "$self->{dir}/redis.conf",
                                $self->{o}{sentinel} ? '--sentinel' : ()];
    $self->{daemon}->start;
    $self->ready if $o{wait} // 1;

    return $self;
}


sub ready {
    my ($self, $seconds) = @_;

    my $until = time + ($seconds // 15);

    while (time < $until) {
        my $pong = eval { delete $self->{admin}; $self->command('PING') };
        return $self if defined $pong && $pong =~ /PONG|MASTERDOWN/;

        last if $self->{daemon}->gone;
        sleep 0.02;
    }

    die "redis is not ready\n" . $self->said;
}


sub stop   { $_[0]{daemon}->stop }
sub kill9  { $_[0]{daemon}->kill9 }
sub freeze { $_[0]{daemon}->freeze }
sub thaw   { $_[0]{daemon}->thaw }


# restart(empty => 1, wait => 0, with => {options}): with the same port

sub restart {
    my ($self, %o) = @_;

    $self->kill9;
    %{ $self->{o} } = (%{ $self->{o} }, %{ $o{with} // {} });

    if ($o{empty}) {
        unlink glob("$self->{dir}/*.rdb $self->{dir}/appendonlydir/*");
    }

    return $self->start(%o);
}


###############################################################################
# talking to it


# a Mesh::Resp of its own, as the test's user

sub client {
    my ($self, %o) = @_;

    my $c = Mesh::Resp->connect($self->port_plain, %o);
    my @auth = $self->{o}{users} ? ('kit', 'kit')
             : defined $self->{o}{password} ? $self->{o}{password} : ();

    if (@auth) {
        my $r = $c->command('AUTH', @auth);
        die "AUTH: $r\n" if ref $r;
    }

    return $c;
}


sub command {
    my ($self, @words) = @_;

    $self->{admin} //= $self->client;

    my $r = eval { $self->{admin}->command(@words) };
    return $r unless $@;

    # it may have restarted meanwhile
    $self->{admin} = $self->client;
    return $self->{admin}->command(@words);
}


# the same, which has to go well

sub done {
    my ($self, @words) = @_;

    my $r = $self->command(@words);
    die "redis: @words: $r\n" if ref $r eq 'Mesh::Resp::Error';

    return $r;
}


# a section of INFO

sub info {
    my ($self, $section) = @_;
    return { map { /^(\w+):(.*?)\r?$/ ? ($1, $2) : () }
             split /\n/, $self->done('INFO', $section) };
}


###############################################################################
# what Dubbo's providers do there


# key_of(url, root, category): where it is registered

sub key_of {
    my ($url, $root, $category) = @_;

    my ($interface) = $url =~ m{^\w+://[^/]*/([^?]+)} or die "URL: $url";

    return ($root // '/dubbo') . "/$interface/" . ($category // 'providers');
}


# provide(url, options): root, category (providers), ttl (60 seconds),
# quiet => 1 (publishes nothing), early => 1 (publishes before it writes)

sub provide {
    my ($self, $url, %o) = @_;

    my $key = key_of($url, $o{root}, $o{category});
    my $until = int(1000 * (time + ($o{ttl} // 60)
                            + ($self->{o}{time} // 0)));
    my @orders = (['HSET', $key, $url, $until], ['PUBLISH', $key, 'register']);

    pop @orders if $o{quiet};
    @orders = reverse @orders if $o{early};
    $self->done(@$_) for @orders;

    return $key;
}


# what it does every half of its session time: the value anew, without a word

sub beat { $_[0]->provide($_[1], @_[2 .. $#_], quiet => 1) }


sub withdraw {
    my ($self, $url, %o) = @_;

    my $key = key_of($url, $o{root}, $o{category});

    $self->done('HDEL', $key, $url);
    $self->done('PUBLISH', $key, 'unregister') unless $o{quiet};

    return $key;
}


1;
