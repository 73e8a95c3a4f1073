package Interop::Guide;

# A guide of README.md, done as it is written: its settings, its nginx.conf,
# its commands and its Java, on ports and in a directory of the test's.

use strict;
use warnings;

use File::Basename qw(dirname);
use Test::More;
use Time::HiRes qw(sleep);

use lib dirname(__FILE__) . '/../../../lib';
use Interop qw(prepare);
use Interop::Jvm;
use Mesh::Consul;
use Mesh::Port qw(free_port);
use Mesh::Redis;
use Mesh::Test;

my %PORT = (redis => 6379, consul => 8500);


# new(title, registry, port of clients)

sub new {
    my ($class, $title, $registry, $port) = @_;

    prepare();

    my $t = Mesh::Test->new(timeout => 150);
    my $self = bless { t => $t, registry => $registry, blocks => {},
                       jvms => {} }, $class;

    my ($text) = $t->read_file($t->root . '/README.md')
                 =~ /^### \Q$title\E\n(.*?)^##/ms or die "no $title";

    push @{ $self->{blocks}{$1} }, $2
        while $text =~ /^```(\w+)\n(.*?)^```$/mgs;
    $self->{commands} = [ $text =~ s/^```.*?^```$//mgsr =~ /^ {4}(\S.*)$/mg ];

    $self->{store} = $registry eq 'redis' ? Mesh::Redis->new
                                          : Mesh::Consul->new;
    $self->{swap} = {
        ":$PORT{$registry}" => ':' . $self->{store}->port,
        "-p $PORT{$registry}" => '-p ' . $self->{store}->port,
        ':9900' => ':' . $t->port('http'),
        "nginx:$port" => '2130706433:' . $t->port('mesh'),
        "listen $port" => 'listen 127.0.0.1:' . $t->port('mesh'),
        '/var/lib/nginx/mesh' => $t->dir . '/state',
        '/etc/dubbo/resolve.properties' => $t->dir . '/resolve.properties',
    };

    return $self;
}


# the next block of a kind, with our places in it

sub block {
    my ($self, $kind) = @_;
    return $self->ours(shift @{ $self->{blocks}{$kind} }
                       // die "no $kind block");
}


sub ours {
    my ($self, $text) = @_;

    my $all = join '|', map { quotemeta } sort { length $b <=> length $a }
                        keys %{ $self->{swap} };

    return $text =~ s/($all)\b/$self->{swap}{$1}/gr;
}


# the next command, which has to be this one, in our places

sub command {
    my ($self, $regex) = @_;

    my $command = shift @{ $self->{commands} } // '';
    like($command, $regex, "the guide: $command");

    return $self->ours($command);
}


# the same, run until it says what it should: an SDK may take its time

sub shows {
    my ($self, $regex, @wanted) = @_;

    my $command = $self->command($regex);
    my $said;

    wait_for {
        $said = `$command 2>&1`;
        !grep { $said !~ $_ } @wanted;
    } 10;

    like($said, $_, 'what it shows') for @wanted;
}


# nginx with the guide's configuration, where it says so

sub nginx {
    my ($self) = @_;

    my $t = $self->{t};
    my $conf = $self->block('nginx') =~ s/^load_module .*\n//mgr;

    $self->command(qr/^nginx -t && systemctl restart nginx$/);
    $t->write_conf("worker_processes 2;\n$conf");

    my ($status, $said) = $t->check_conf;
    is($status, 0, 'nginx -t') or diag($said);
    $t->run;
}


sub properties {
    my ($text) = @_;
    return { map { split /=/, $_, 2 } split /\n/, $text };
}


# compile(sdk, {file => text}): a directory of classes

sub compile {
    my ($self, $sdk, %more) = @_;

    my $t = $self->{t};
    my ($root, $dir) = ($t->root, $t->dir . "/classes-$sdk");
    my $kit = "$root/build/interop/$sdk";
    my @sources = $sdk =~ /sofa/ ? "$root/demo/java/com/example/Greeter.java"
                                 : glob("$root/demo/java/*/*/*.java");

    mkdir $dir;
    push @sources, map { $t->write_file($_, $more{$_}) } sort keys %more;

    my $path = $t->read_file("$kit/classpath");
    chomp $path;

    system('javac', '-XDsuppressNotes', '-encoding', 'UTF-8', '--release', 17,
           '-cp', "$kit/classes:$path", '-d', $dir, @sources) == 0
        or die "javac failed\n";

    return $dir;
}


sub jvm {
    my ($self, $name, $sdk, $main, $define, @args) = @_;

    my $dir = $self->{t}->dir;

    return $self->{jvms}{$name} = Interop::Jvm->start($sdk, $main,
        log => "$dir/$name.log", args => \@args,
        classes => $self->{classes}{$sdk} //= $self->compile($sdk),
        # SOFARPC's three seconds are short for a machine that does much else
        define => { 'dubbo.service.shutdown.wait' => 2000,
                    'consumer.invoke.timeout' => 15_000,
                    'user.home' => $dir, 'logging.path' => $dir, %$define });
}


# calls(names): until these answer, and no other; none of them may fail

sub calls {
    my ($self, @names) = @_;

    my $want = join ' ', @names;
    my ($seen, $failed) = ('', 0);

    for (1 .. 40) {
        my $consumer = $self->{jvms}{consumer};

        print { $consumer->{to} } "300ms\n";

        my $line = $consumer->line(20);
        my ($bad) = $line =~ /failed=(\d+)/;

        diag($line) if $bad;
        $failed += $bad;
        $seen = join ' ', sort $line =~ /\b(v\d)=/g;
        last if $seen eq $want || $failed;
    }

    is("$seen, $failed failed", "$want, 0 failed", "calls go to @names");
}


sub endpoints {
    my ($self, $service, @ports) = @_;

    $self->shows(qr{^curl -s \S+/services/\Q$service\E/endpoints$},
                 qr/"owner":"$self->{registry}"/, map { qr/\b$_\b/ } @ports);
    $self->shows(qr{^curl -s \S+/registries/$self->{registry}$},
                 qr/"state":"ok"/);
}


sub leave {
    my ($self, $name) = @_;

    $self->{jvms}{$name}->kill('TERM');
    ok(defined $self->{jvms}{$name}->gone(20), "$name is stopped");
}


sub done {
    my ($self) = @_;

    is(join(', ', @{ $self->{commands} }), '', 'that was all of the guide');
    $_->stop for values %{ $self->{jvms} };
    $self->{t}->done;
}


###############################################################################


# what the guides of Dubbo say

sub dubbo {
    my ($title, $registry) = @_;

    my $g = Interop::Guide->new($title, $registry, 20880);
    my $settings = properties($g->block('properties'));
    my %port = map { $_ => free_port() } qw(v1 v2);

    my $provider = sub {
        my ($name, $sdk) = @_;
        $g->jvm($name, $sdk, 'mesh.kit.DemoProvider', $settings,
                "name=$name", "port=$port{$name}");
    };

    $provider->(v1 => 27)->ready(60);
    $g->shows($registry eq 'redis' ? qr/^redis-cli/ : qr/^curl/,
              qr/\b$port{v1}\b/);

    $g->nginx;

    $g->{t}->write_file('resolve.properties', $g->block('properties'));
    my $java = $g->command(qr/^java -D\S+ -jar consumer\.jar$/);
    $g->jvm('consumer', 33, 'mesh.kit.DemoConsumer',
            { $java =~ /-D(\S+?)=(\S+)/g }, 'clients=4')->ready(60);

    $g->calls('v1');
    $g->endpoints('com.example.Greeter:1.0.0', $port{v1});

    $provider->(v2 => 33)->ready(60);
    $g->calls(qw(v1 v2));

    if ($registry eq 'consul') {
        my ($id) = grep { /./ } map { $_->{ID} }
                   grep { $_->{Port} == $port{v1} }
                   values %{ $g->{store}->records };
        $g->{store}->maintenance($id, 1);
        $g->calls('v2');
        $g->{store}->maintenance($id, 0);
        $g->calls(qw(v1 v2));
    }

    $g->leave('v1');
    $g->calls('v2');
    $g->done;
}


# and that of SOFARPC

sub sofa {
    my ($title) = @_;

    my $g = Interop::Guide->new($title, 'consul', 12200);
    my %port = map { $_ => free_port() } qw(v1 v2);

    $g->{classes}{sofa513} = $g->compile('sofa513',
        'GuideProvider.java' => java(provider => $g->block('java')
            =~ s/setPort\(12200\)/setPort(Integer.parseInt(args[1]))/r),
        'GuideConsumer.java' => java(consumer => $g->block('java')));

    $g->jvm('v1', 'sofa513', 'com.example.GuideProvider', {}, 'v1',
            $port{v1})->ready(60);
    $g->shows(qr/^curl/, qr/\b$port{v1}\b/);

    $g->nginx;
    $g->jvm('consumer', 'sofa513', 'com.example.GuideConsumer', {})->ready(60);

    $g->calls('v1');
    $g->endpoints('com.example.Greeter:1.0', $port{v1});

    $g->jvm('v2', 'sofa513', 'com.example.GuideProvider', {}, 'v2',
            $port{v2})->ready(60);
    $g->calls(qw(v1 v2));
    $g->leave('v1');
    $g->calls('v2');
    $g->done;
}


# a program around what the guide has

sub java {
    my ($what, $code) = @_;

    my $name = 'Guide' . ucfirst $what;
    my $around = $what eq 'provider' ? <<'PROVIDER' : <<'CONSUMER';
        com.alipay.sofa.rpc.common.SystemInfo.setLocalHost("127.0.0.1");
        label = args[0];
CODE
        System.out.println("READY");
        while (System.in.read() >= 0) {
        }
        Runtime.getRuntime().halt(0);
    }

    static String label;

    static final class GreeterImpl implements Greeter {
        public String sayHello(String name) {
            return label;
        }
    }
PROVIDER
CODE
        System.out.println("READY");
        java.util.Scanner in = new java.util.Scanner(System.in);
        while (in.hasNextLine()) {
            long end = System.nanoTime() + 1_000_000L
                       * Long.parseLong(in.nextLine().replace("ms", ""));
            java.util.Map<String, Integer> seen = new java.util.TreeMap<>();
            int failed = 0;
            String why = "";
            while (System.nanoTime() < end) {
                try {
                    seen.merge(greeter.sayHello("x"), 1, Integer::sum);
                } catch (RuntimeException e) {
                    failed++;
                    why = " " + e;
                }
                Thread.sleep(5);
            }
            StringBuilder line = new StringBuilder("failed=" + failed);
            seen.forEach((who, n) -> line.append(" " + who + "=" + n));
            System.out.println(line + why);
        }
        Runtime.getRuntime().halt(0);
    }
CONSUMER

    $around =~ s/^CODE\n/$code/m;

    return <<"JAVA";
package com.example;

import com.alipay.sofa.rpc.config.*;

public final class $name {

    public static void main(String[] args) throws Exception {
$around
}
JAVA
}


1;
